//! Every setting of a subscription, on each surface that the table of settings feeds: the command line, the API, the
//! OpenAPI document, the editor, `export` and the documentation.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use http::Method;
use postrider::config::Config;
use postrider::model::setting::{Kind, SETTINGS, Setting, SubscriptionSpec};
use serde_json::Value;

use crate::support::client::ApiClient;
use crate::support::process::{DaemonSetup, RunningDaemon};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const URL: &str = "https://127.0.0.1:9/hooks";

struct Daemon {
    setup: DaemonSetup,
    api: ApiClient,
    _running: RunningDaemon,
}

impl Daemon {
    async fn start() -> Self {
        let setup = DaemonSetup::new(crate::support::memory_dir(), "");
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        Self { setup, api, _running: running }
    }

    /// Runs the command line, asserts success, and returns its output.
    async fn run(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(args).env_remove("POSTRIDER_KEY").env_remove("POSTRIDER_WEBHOOK_SECRET");
        command.env("POSTRIDER_SERVER", format!("http://{}", self.setup.address)).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.api.call(Method::GET, path, "", "").await.unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    }
}

fn optional() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !setting.is_required())
}

/// Writes a client certificate and its key, and returns their paths.
fn identity(directory: &Path) -> [String; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["us".to_owned()]).unwrap();
    let texts = [("cert.pem", params.self_signed(&key).unwrap().pem()), ("key.pem", key.serialize_pem())];
    texts.map(|(name, text)| {
        std::fs::write(directory.join(name), text).unwrap();
        directory.join(name).to_str().unwrap().to_owned()
    })
}

/// Returns a value that is not the default, as the flag takes it.
fn value<'a>(setting: &Setting, [cert, key]: &'a [String; 2]) -> &'a str {
    match setting.kind {
        Kind::Name => "crm",
        Kind::Url => URL,
        Kind::EventTerms => "TODO_*,!TODO_DELETED",
        Kind::ProjectTerms => "acme/*,globex/website",
        Kind::Filter => "event.data.amount > 100",
        Kind::Format => "blue",
        Kind::Ordering => "fifo",
        Kind::Headers => "x-team=sales",
        Kind::Timeout => "3s",
        Kind::Waits => "1s,2m",
        Kind::Count(_) => "3",
        Kind::Rate => "5/s",
        Kind::Certificates => cert,
        Kind::PrivateKey => key,
        Kind::Email => "ops@acme.example",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_has_a_flag_and_reads_back_from_an_export() {
    let daemon = Daemon::start().await;
    let directory = tempfile::tempdir().unwrap();
    let files = identity(directory.path());
    let flags: Vec<_> = optional()
        .flat_map(|setting| [format!("--{}", setting.flag), value(setting, &files).to_owned()])
        .collect();
    let words = ["--json", "subscriptions", "add", URL].into_iter().chain(flags.iter().map(String::as_str));
    let added = daemon.run(&words.collect::<Vec<_>>()).await;
    let added: Value = serde_json::from_str(&added).unwrap();
    let id = added["id"].as_str().unwrap();
    let shown = daemon.api.subscription(id).await;
    let default = SubscriptionSpec::example().to_members();
    for (name, default) in &default {
        assert_ne!(&shown[name], default, "{name} was not set");
    }
    assert!(!shown.to_string().contains("PRIVATE KEY"));

    let exported = daemon.run(&["subscriptions", "export", id]).await;
    assert!(!exported.contains("PRIVATE KEY") && exported.contains("tls_client_key: set, not shown"));
    let text = format!("{exported}\ntls_client_key_file = \"{}\"\n", files[1]);
    let env = [("CRM_SECRET".to_owned(), SECRET.to_owned())];
    let config = Config::parse(&text, "exported", env).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let spec = &config.subscriptions[0].input.spec;
    for setting in SETTINGS.iter().filter(|setting| !setting.is_secret()) {
        assert_eq!((setting.get)(spec), shown[setting.name], "{} in\n{text}", setting.name);
    }
    let key = std::fs::read_to_string(&files[1]).unwrap();
    assert_eq!(spec.tls.client().unwrap().key().reveal(), key);

    let names: Vec<_> = optional().map(|setting| setting.name).collect();
    daemon.run(&["subscriptions", "edit", id, "--reset", &names.join(",")]).await;
    let reset = daemon.api.subscription(id).await;
    for setting in optional().filter(|setting| !setting.is_secret() && setting.kind != Kind::Name) {
        assert_eq!(reset[setting.name], default[setting.name], "{}", setting.name);
    }
    let flags = flags.iter().map(String::as_str);
    daemon
        .run(&["subscriptions", "edit", id, "--url", URL].into_iter().chain(flags).collect::<Vec<_>>())
        .await;
    let edited = daemon.api.subscription(id).await;
    for name in default.keys() {
        assert_eq!(edited[name], shown[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_setting_is_described_and_has_a_field_in_the_editor() {
    let daemon = Daemon::start().await;
    let document = daemon.api.get("/openapi.json").await;
    let described = |schema: &str, name: &str| {
        let property = &document["components"]["schemas"][schema]["properties"][name];
        let description = property.get("description").or_else(|| property["oneOf"][0].get("description"));
        description.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    let pages = [daemon.page("/en/subscriptions/new").await, daemon.page("/sv/subscriptions/new").await];
    for setting in &SETTINGS {
        let name = setting.name;
        assert!(described("SubscriptionChange", name), "{name} has no description");
        assert_eq!(described("SubscriptionSettings", name), !setting.is_secret(), "{name} in responses");
        let field = match setting.kind {
            Kind::EventTerms | Kind::ProjectTerms => format!("{name}_terms"),
            _ => name.to_owned(),
        };
        for page in &pages {
            assert!(page.contains(&format!(" name=\"{field}\"")), "{name} has no field");
            assert!(page.contains(&format!(" id=\"setting-{name}-help\"")), "{name} has no help");
        }
    }
}

/// `BLESS=1` writes the table anew.
#[test]
fn the_guide_has_the_table_of_settings() {
    let mut table = String::from("| member | meaning | default |\n| --- | --- | --- |\n");
    for setting in &SETTINGS {
        let default = if setting.is_required() { "required" } else { setting.default };
        writeln!(table, "| `{}` | {}. | {default} |", setting.name, setting.description).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/API.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- settings -->\n").unwrap();
    let (present, after) = rest.split_once("<!-- /settings -->").unwrap();
    if std::env::var_os("BLESS").is_some() {
        let text = format!("{before}<!-- settings -->\n{table}<!-- /settings -->{after}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(present, table, "run this test with BLESS=1 to write the table");
}
