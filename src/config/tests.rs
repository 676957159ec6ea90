//! Tests of the configuration as users write it.

use std::path::PathBuf;

use super::*;
use crate::model::time::Interval;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DIGEST: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "etc/config.toml", [])
}

fn parse_env(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::parse(text, "config.toml", env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

/// Returns the errors as they are printed, one per line.
fn lines(result: Result<Config, ConfigErrors>) -> Vec<String> {
    result.unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_reference_differs_from_the_defaults_only_in_allow_networks() {
    let mut file = Config::parse(include_str!("../../config.toml"), "config.toml", []).unwrap();
    let default = Config::default();
    assert!(default.delivery.allow_networks.is_empty());
    assert!(file.delivery.allow_networks.contains(&"127.0.0.0/8".parse().unwrap()));
    file.delivery.allow_networks.clear();
    assert_eq!(file, default);
    assert_eq!(default.server.listen, ["127.0.0.1:8740".parse().unwrap()]);
    assert_eq!(default.storage.cache, 32 << 20);
    assert_eq!(default.delivery.retry_schedule, ["5s", "30s", "2m", "10m"].map(|wait| wait.parse().unwrap()));
}

#[test]
fn the_examples_of_the_reference_are_valid() {
    let reference = include_str!("../../config.toml");
    let is_example = |line: &&str| line.starts_with("# [[") || line.split(' ').nth(2) == Some("=");
    let examples = reference.lines().filter(is_example).map(|line| &line[2..]).collect::<Vec<_>>().join("\n");
    let config = parse_env(&examples, &[("CRM_SECRET", SECRET)]).unwrap();
    assert_eq!((config.auth.keys.len(), config.event_types.len()), (1, 1));
    assert_eq!((config.projects.len(), config.subscriptions.len()), (1, 1));
    assert_eq!(config.subscriptions[0].secret.reveal(), SECRET);
    let members = crate::model::setting::SETTINGS.each_ref().map(|setting| setting.name);
    let is_told = |member: &&str| match member.strip_prefix("tls_") {
        Some(_) => reference.contains(&format!("{member}_file")),
        None => examples.contains(&format!("{member} = ")),
    };
    assert!(members.iter().all(is_told), "{examples}");
}

#[test]
fn a_later_layer_overrides_an_earlier_one() {
    let config = parse_env(
        "[delivery]\nmax_in_flight = 7\njitter = 1\n[server]\nlisten = [\"[::1]:1\"]",
        &[
            ("POSTRIDER_DELIVERY__MAX_IN_FLIGHT", "9"),
            ("POSTRIDER_SERVER__BODY_BYTES_MAX", "2MiB"),
            ("POSTRIDER_SERVER__LISTEN", "unix:/run/p.sock"),
            ("POSTRIDER_DELIVERY__RETRY_SCHEDULE", "[1s, 2m]"),
            ("POSTRIDER_STORAGE__PATH", "123"),
            ("POSTRIDER_PORT_8740_TCP_ADDR", "10.0.0.1"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!((config.delivery.max_in_flight, config.server.body_bytes_max), (9, 2 << 20));
    assert_eq!(config.server.listen, [Listen::Unix("/run/p.sock".into())]);
    assert_eq!(config.delivery.retry_schedule, [Interval::from_secs(1), Interval::from_secs(120)]);
    assert_eq!(config.storage.path, PathBuf::from("123"));
    assert!((config.delivery.jitter - 1.0).abs() < f64::EPSILON);
    let text = parse("[server]\nbatch_events_max = \"9\"");
    assert!(lines(text)[0].contains("is not a whole number"), "text stands for a number in a variable only");
}

#[test]
fn every_problem_names_its_source_key_value_and_remedy() {
    let text = r#"
[server]
listen = ["0.0.0.0:80", "nowhere"]
bodybytes_max = "1MiB"
batch_events_max = 0
[delivery]
timeout = 5
retry_schedule = ["1s", "soon"]
jitter = 1.5
allow_networks = ["10.0.0.0"]
[healt]
[log]
level = "info,=x=y"
"#;
    let lines =
        lines(parse_env(text, &[("POSTRIDER_STORAGE__CACHE", "lots"), ("POSTRIDER_STORAGE__PTH", "x")]));
    let expected = [
        "POSTRIDER_STORAGE__CACHE: storage.cache = \"lots\": is not a size such as",
        "POSTRIDER_STORAGE__PTH: storage.pth = \"x\": is not a known key: did you mean 'path'?",
        "config.toml:3: server.listen[1] = \"nowhere\": 'nowhere' is not an address such as",
        "config.toml:4: server.bodybytes_max = \"1MiB\": is not a known key: did you mean 'body_bytes_max'?",
        "config.toml:5: server.batch_events_max = 0: is not between 1 and 100000",
        "config.toml:7: delivery.timeout = 5: is a number: expected a duration such as \"5s\"",
        "config.toml:8: delivery.retry_schedule[1] = \"soon\": 'soon' is not a duration such as",
        "config.toml:9: delivery.jitter = 1.5: is not a number from 0 to 1, such as 0.2",
        "config.toml:10: delivery.allow_networks[0] = \"10.0.0.0\": is not a network such as",
        "config.toml:11: healt: is not a known key: did you mean 'health'?",
        "config.toml:13: log.level = \"info,=x=y\": is not a log level: expected",
    ];
    for start in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "no line starts with {start:?} in {lines:#?}"
        );
    }
    let extra = lines.iter().filter(|line| !expected.iter().any(|start| line.starts_with(start)));
    assert_eq!(extra.count(), 0, "{lines:#?}");
}

#[test]
fn tls_needs_a_certificate_and_a_key() {
    let config = parse("server.tls_cert = \"c.pem\"\nserver.tls_key = \"k.pem\"").unwrap();
    assert_eq!(config.server.tls, Some(TlsFiles { cert: "c.pem".into(), key: "k.pem".into() }));
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
    assert_eq!(Config::default().server.tls, None);
    assert_eq!(Config::default().restart_keys(&config), ["server.tls_cert"]);
    for (key, other) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        let line = &lines(parse(&format!("server.{key} = \"x.pem\"")))[0];
        assert!(
            line.contains(&format!("server.{key}")) && line.contains(&format!("without {other}")),
            "{line}"
        );
    }
}

#[test]
fn mode_bits_are_octal_and_allow_the_owner() {
    let with = |mode: &str| parse(&format!("server.unix_mode = {mode}"));
    for (text, mode) in [("0660", 0o660), ("600", 0o600), ("0777", 0o777)] {
        let config = with(&format!("\"{text}\"")).unwrap();
        assert_eq!(config.server.unix_mode, mode);
        assert_eq!(parse(&config.to_toml()).unwrap().server.unix_mode, mode);
    }
    for bad in ["\"\"", "\"660 \"", "\"0o660\"", "\"1660\"", "\"0680\"", "\"0066\"", "\"0460\"", "660"] {
        assert!(lines(with(bad))[0].contains("server.unix_mode"), "{bad}");
    }
}

#[test]
fn problems_of_subscriptions_name_their_lines() {
    let text = format!(
        r#"[[subscriptions]]
name = "crm"
url = "ftp://user:word@crm/"
events = ["TODO_*",
  "a b"]
secret = "{SECRET}"
[[subscriptions]]
name = "crm"
url = "https://crm/"
evnts = []
secret_env = "NONE"
[[subscriptions]]
url = "https://crm/"
[[subscriptions]]
name = "two"
url = "https://crm/"
secret = "open sesame"
secret_file = "nothing.txt"
"#
    );
    let lines = lines(parse(&text));
    let expected = [
        "etc/config.toml:3: subscriptions[0].url = \"ftp://…@crm/\": 'ftp://…@crm/' has the scheme ftp",
        "etc/config.toml:5: subscriptions[0].events[1] = \"a b\"",
        "etc/config.toml:8: subscriptions[1].name = \"crm\": names the same subscription as etc/config.toml:2",
        "etc/config.toml:10: subscriptions[1].evnts: is not a known key: did you mean 'events'?",
        "etc/config.toml:11: subscriptions[1].secret_env = \"NONE\": names a variable that is not set",
        "etc/config.toml:12: subscriptions[2]: has no secret: set one of",
        "etc/config.toml:12: subscriptions[2].name: is missing: add a unique name",
        "etc/config.toml:17: subscriptions[3].secret: is not a secret",
        "etc/config.toml:18: subscriptions[3].secret_file = \"nothing.txt\": is set together with 'secret'",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for start in expected {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "no line starts with {start:?} in {lines:#?}"
        );
    }
}

#[test]
fn a_secret_can_be_read_from_a_file_beside_the_config() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(directory.path().join("crm.key"), format!("{SECRET}\n")).unwrap();
    std::fs::write(
        &path,
        "[[subscriptions]]\nname = \"crm\"\nurl = \"https://crm/\"\nsecret_file = \"crm.key\"\n",
    )
    .unwrap();
    let config = Config::load(Some(&path), []).unwrap();
    assert_eq!(config.subscriptions[0].secret.reveal(), SECRET);
    let missing = Config::load(Some(&directory.path().join("none.toml")), []).unwrap_err().to_string();
    assert!(missing.contains("none.toml: cannot be read: "), "{missing}");
}

#[test]
fn certificates_and_keys_can_be_read_from_files_beside_the_config() {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("ca.pem", &pem), ("key.pem", &key.serialize_pem()), ("bad.pem", &"?".to_owned())] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let load = |more: &str| {
        let path = directory.path().join("config.toml");
        let head =
            format!("[[subscriptions]]\nname = \"crm\"\nurl = \"https://crm/\"\nsecret = \"{SECRET}\"\n");
        std::fs::write(&path, head + more).unwrap();
        Config::load(Some(&path), [])
    };
    let files =
        "tls_ca_file = \"ca.pem\"\ntls_client_cert_file = \"ca.pem\"\ntls_client_key_file = \"key.pem\"\n";
    let config = load(files).unwrap();
    let tls = &config.subscriptions[0].input.spec.tls;
    assert_eq!(tls.authorities().unwrap().pem(), pem);
    assert_eq!(tls.client().unwrap().key().reveal(), key.serialize_pem());
    let inline = load(&format!("tls_ca = \"\"\"\n{pem}\"\"\"\n")).unwrap();
    assert_eq!(
        inline.subscriptions[0].input.spec.tls.authorities().unwrap().list(),
        tls.authorities().unwrap().list()
    );
    let shown = config.to_toml();
    assert!(shown.contains("tls_client_cert = ") && !shown.contains("PRIVATE"), "{shown}");
    for (more, words) in [
        ("tls_ca_file = \"none.pem\"\n", "tls_ca_file = \"none.pem\": cannot be read as "),
        (
            "tls_ca_file = \"bad.pem\"\n",
            "tls_ca_file = \"bad.pem\": names a file that contains no certificate",
        ),
        (
            "tls_ca = \"?\"\ntls_ca_file = \"ca.pem\"\n",
            "tls_ca_file = \"ca.pem\": is set together with 'tls_ca'",
        ),
        ("tls_client_key = \"open sesame\"\n", "tls_client_key: contains no private key"),
        ("tls_client_cert_file = \"ca.pem\"\n", "tls_client_key: is missing"),
    ] {
        let error = load(more).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("sesame"), "{error}");
    }
}

#[test]
fn a_proxy_is_a_url_and_its_password_is_not_shown() {
    let text =
        |proxy: &str, around: &str| format!("[delivery]\nproxy = \"{proxy}\"\nno_proxy = [{around}]\n");
    let config = parse(&text("http://ada:hidden@proxy:3128", "\"crm.internal\", \"10.0.0.0/8\"")).unwrap();
    let proxy = config.delivery.proxy.as_ref().unwrap();
    assert_eq!((proxy.url().password(), proxy.no_proxy().len()), (Some("hidden"), 2));
    assert!(!proxy.serves(&"http://10.1.1.1/".parse().unwrap()));
    let shown = config.to_toml();
    assert!(shown.contains("proxy = \"http://…@proxy:3128/\"") && !shown.contains("hidden"), "{shown}");
    assert_eq!(parse(&text("", "")).unwrap().delivery.proxy, None);
    assert_eq!(Config::default().restart_keys(&config), ["delivery.proxy"]);
    for bad in ["ada:hidden@proxy:3128", "socks5://hidden@proxy", "http://hidden@proxy/x", "hidden"] {
        let lines = lines(parse(&text(bad, "")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("etc/config.toml:2: delivery.proxy: is not a URL"), "{lines:?}");
        assert!(!lines[0].contains("hidden"), "{lines:?}");
    }
    let lines = lines(parse(&text("http://proxy", "\"*.lan\"")));
    assert!(lines[0].contains("delivery.no_proxy[0] = \"*.lan\": '*.lan' is neither"), "{lines:?}");
}

#[test]
fn without_api_keys_only_local_addresses_are_allowed() {
    let open = "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:1\"]\n";
    let key = format!("[[auth.keys]]\nname = \"a\"\nrole = \"admin\"\nsha256 = \"{DIGEST}\"\n");
    let lines = lines(parse(open));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("etc/config.toml:2: server.listen[1] = \"0.0.0.0:1\": 0.0.0.0:1 can be reached")
    );
    let config = parse(&format!("{open}{key}")).unwrap();
    assert_eq!(hex::encode(config.auth.keys[0].sha256), DIGEST);
    assert_eq!(config.auth.keys[0].role, Role::Admin);
    for local in ["[::1]:1", "127.8.8.8:1", "unix:/x", "[::ffff:127.0.0.1]:1"] {
        assert!(parse(&format!("[server]\nlisten = [\"{local}\"]")).is_ok(), "{local}");
    }
}

#[test]
fn names_in_lists_of_tables_are_unique() {
    let text = "[[event_types]]\nname = \"A\"\n[[event_types]]\nname = \"A\"\n[[projects]]\nid = \"p\"\n\
        [[projects]]\nid = \"p\"\ncompany = \"c\"\n[[projects]]\nid = \"p\"\n[[auth.keys]]\nname = \"k\"\nrole = \"boss\"\nsha256 = \"12\"\n";
    let lines = lines(parse(text));
    let expected = [
        "etc/config.toml:4: event_types[1].name = \"A\": names the same event type as etc/config.toml:2",
        "etc/config.toml:11: projects[2].id = \"p\": names the same project as etc/config.toml:6",
        "etc/config.toml:14: auth.keys[0].role = \"boss\": is not allowed: expected \"ingest\", \"read\" or \"admin\"",
        "etc/config.toml:15: auth.keys[0].sha256: is not 64 hexadecimal digits",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    assert!(lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{lines:#?}");
}

#[test]
fn invalid_toml_is_refused_with_its_line() {
    let lines = lines(parse("[server]\nlisten = [\n\n[storage"));
    assert!(lines.len() == 1 && lines[0].starts_with("etc/config.toml:"), "{lines:?}");
    assert!(lines[0].contains("is not TOML: "), "{lines:?}");
    for wrong in [
        "server = 1",
        "[[server]]",
        "subscriptions = 1",
        "subscriptions = [1]",
        "[auth]\nkeys = {}",
        "[server]\nqueue_events_max = 999",
        "[server]\nbody_bytes_max = \"257MiB\"",
        "[log]\nlevel = 2020-01-01T00:00:00Z\nformat = nan",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_effective_config_reads_back_and_shows_no_secret() {
    let text = format!(
        r#"[delivery]
jitter = 0.25
retry_schedule = []
allow_networks = ["10.0.0.0/8"]
[[auth.keys]]
name = "say \"k\""
role = "read"
sha256 = "{DIGEST}"
[[event_types]]
name = "A"
description = "line\nline\u007f"
[[projects]]
id = "p"
[[subscriptions]]
name = "crm"
url = "https://crm/x"
projects = ["acme/*", "!acme/secret"]
filter = "event.data.a == \"b\""
rate_limit = "5/s"
timeout = "2s"
enabled = false
secret = "{SECRET}"
"#
    );
    let config = parse(&text).unwrap();
    let shown = config.to_toml();
    assert!(!shown.contains(SECRET), "{shown}");
    let again = parse(&shown.replace("# secret: set, not shown", &format!("secret = \"{SECRET}\""))).unwrap();
    assert_eq!(again.to_toml(), shown);
    assert_eq!(
        (&again.delivery, &again.auth, &again.event_types),
        (&config.delivery, &config.auth, &config.event_types)
    );
    assert_eq!(again.subscriptions[0].input.spec, config.subscriptions[0].input.spec);
    let hidden = text
        .replace("https://crm/x", "https://user:word@crm/x")
        .replace("enabled = false", "headers = { x-token = \"hush\" }");
    let shown = parse(&hidden).unwrap().to_toml();
    assert!(shown.contains("https://…@crm/x") && shown.contains("\"x-token\" = \"…\""), "{shown}");
    assert!(!shown.contains("word") && !shown.contains("hush"), "{shown}");
}

#[test]
fn changed_keys_that_need_a_restart_are_reported() {
    let old = Config::default();
    let new = parse(
        "[server]\nlisten = [\"127.0.0.1:1\"]\nbatch_events_max = 1\n[log]\nlevel = \"debug\"\nformat = \"json\"\n[events]\ndedup_window = \"1h\"",
    )
    .unwrap();
    assert_eq!(old.restart_keys(&new), ["server.listen", "events.dedup_window", "log.format"]);
    assert!(old.restart_keys(&old).is_empty());
}

#[test]
fn a_collector_needs_a_url_and_a_build_with_otel() {
    let with = |endpoint: &str| parse(&format!("otlp.endpoint = \"{endpoint}\""));
    assert_eq!(with("").unwrap(), Config::default());
    for bad in
        ["collector:4318", "ftp://collector/", "http://", "https://u:p@collector/", "http://collector/?key=1"]
    {
        let line = &lines(with(bad))[0];
        assert!(line.contains("otlp.endpoint") && !line.contains("u:p"), "{line}");
    }
    let ratio = &lines(parse("otlp.sample_ratio = 1.5"))[0];
    assert!(ratio.contains("otlp.sample_ratio = 1.5"), "{ratio}");
    if cfg!(feature = "otel") {
        let config = with("http://127.0.0.1:4318").unwrap();
        assert_eq!(parse(&config.to_toml()).unwrap(), config);
        assert_eq!(Config::default().restart_keys(&config), ["otlp.endpoint"]);
    } else {
        let line = &lines(with("http://127.0.0.1:4318"))[0];
        assert!(line.ends_with("build with --features otel, or set it to \"\""), "{line}");
    }
}

/// Returns each key of `config.toml` with the comment above it.
fn reference_keys() -> Vec<(String, String)> {
    let (mut keys, mut section, mut comment) = (Vec::new(), "", String::new());
    let mut after_key = false;
    for line in include_str!("../../config.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some(text) = line.strip_prefix('#') {
            if after_key {
                comment.clear();
            }
            comment.push_str(text);
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.push((format!("{section}.{key}"), comment.clone()));
        } else {
            comment.clear();
        }
        after_key = line.contains(" = ") && !line.starts_with('#');
    }
    keys
}

#[test]
fn every_setting_has_a_key_and_a_comment_in_the_reference() {
    let keys = reference_keys();
    let config = Config::default();
    let sections = [
        ("server", format!("{:#?}", config.server)),
        ("storage", format!("{:#?}", config.storage)),
        ("retention", format!("{:#?}", config.retention)),
        ("events", format!("{:#?}", config.events)),
        ("delivery", format!("{:#?}", config.delivery)),
        ("health", format!("{:#?}", config.health)),
        ("api", format!("{:#?}", config.api)),
        ("log", format!("{:#?}", config.log)),
        ("mail", format!("{:#?}", config.mail)),
        ("otlp", format!("{:#?}", config.otlp)),
    ];
    let mut settings = 0;
    for (section, shown) in sections {
        let fields = shown.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        for (field, _) in fields.filter(|(field, _)| !field.starts_with(' ')) {
            let key =
                if field == "tls" { "server.tls_cert".to_owned() } else { format!("{section}.{field}") };
            let comment = keys.iter().find(|(name, _)| *name == key).map(|(_, comment)| comment.as_str());
            assert!(
                comment.is_some_and(|comment| !comment.is_empty()),
                "{key} has no comment in config.toml"
            );
            settings += 1;
        }
    }
    assert!(settings > 35, "only {settings} settings were compared");
}

#[test]
fn keys_marked_restart_in_the_reference_are_those_that_a_reload_reports() {
    // These keys are reported under the name of the first key of their pair.
    let second_of_pair = ["server.tls_key", "delivery.no_proxy"];
    let marked = reference_keys().into_iter().filter(|(_, comment)| comment.contains("restart)"));
    let mut marked: Vec<_> =
        marked.map(|(key, _)| key).filter(|key| !second_of_pair.contains(&key.as_str())).collect();
    let mut reported: Vec<_> = settings::RESTART_KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    marked.sort_unstable();
    reported.sort_unstable();
    assert_eq!(marked, reported);
}
