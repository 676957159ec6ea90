//! Takes screenshots of every view for people to look at: desktop and phone width, light and dark.
//!
//! `cargo test --test web_page screens:: -- --ignored` puts them into `target/screens`, or the folder that
//! `SCREENS` names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::driver::Browser;
use crate::support::client::ApiClient;
use crate::support::process::DaemonSetup;
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, Script, always};
use postrider::model::time::Clock;
use serde_json::{Value, json};

const SCREENS: [(&str, u32, u32); 2] = [("desk", 1440, 1000), ("phone", 390, 844)];
/// The largest height of a screenshot, which shows the whole page.
const HEIGHT_MAX: u32 = 2600;
const SCHEMES: [&str; 2] = ["light", "dark"];
/// The amount above which the second receiver refuses an event.
const REFUSED: f64 = 80.5;
const WITHIN: Duration = Duration::from_secs(30);
/// The key of the daemon whose login page is captured. It is valid nowhere else.
const KEY: &str = "[[auth.keys]]\nname = \"ops\"\nrole = \"admin\"\nsha256 = \
                   \"0000000000000000000000000000000000000000000000000000000000000000\"\n";

const CATALOG: [(&str, &[(&str, &str)]); 3] = [
    (
        "Records",
        &[
            ("TODO_CREATED", "A record was created."),
            ("TODO_DELETED", "A record was deleted."),
            ("TODO_MOVED", "A record went to another list."),
            ("TODO_DONE_STATUS_UPDATED", "A record was ticked off, or not."),
        ],
    ),
    (
        "Comments",
        &[("COMMENT_CREATED", "Somebody commented."), ("COMMENT_DELETED", "A comment was deleted.")],
    ),
    ("Billing", &[("invoice.paid", "An invoice was paid."), ("invoice.overdue", "An invoice is overdue.")]),
];
const PROJECTS: [(&str, &str, &str); 4] = [
    ("acme", "website", "Website relaunch"),
    ("acme", "warehouse", "Warehouse move"),
    ("globex", "shop", "Web shop"),
    ("globex", "secret", "Not for everybody"),
];

fn settings() -> String {
    let types = CATALOG.iter().flat_map(|(group, types)| types.iter().map(move |one| (group, one)));
    let types = types.map(|(group, (name, description))| {
        format!("[[event_types]]\nname = \"{name}\"\ngroup = \"{group}\"\ndescription = \"{description}\"\n")
    });
    let projects = PROJECTS.iter().map(|(company, id, name)| {
        format!("[[projects]]\ncompany = \"{company}\"\nid = \"{id}\"\nname = \"{name}\"\n")
    });
    types.chain(projects).collect()
}

/// Creates the history that the screenshots show. Returns the subscriptions by name.
async fn happen(api: &ApiClient, receivers: &[Receiver; 4]) -> Vec<Value> {
    let [good, flaky, broken, slow] = receivers.each_ref().map(Receiver::url);
    let mut subscriptions = Vec::new();
    for members in [
        json!({"name": "CRM", "url": good, "events": ["TODO_*", "!TODO_DELETED"], "projects": ["acme/*"]}),
        json!({"name": "Accounting", "url": slow, "events": ["invoice.*"], "format": "cloudevents"}),
        json!({"name": "Chat", "url": flaky, "events": ["COMMENT_*", "TODO_*"], "retry_schedule": ["1s", "30m"]}),
        json!({"name": "Data warehouse", "url": broken, "projects": ["*", "!globex/secret"], "retry_schedule": [],
            "max_in_flight": 1}),
        json!({"name": "Archive", "url": good, "projects": ["globex/shop"], "enabled": false}),
    ] {
        subscriptions.push(api.subscribe(&members).await);
    }
    let types: Vec<&str> =
        CATALOG.iter().flat_map(|(_, types)| types.iter().map(|(name, _)| *name)).collect();
    for n in 0..90_u8 {
        let place = usize::from(n / 3) * 7 + usize::from(n);
        let (company, project, _) = PROJECTS[place % PROJECTS.len()];
        let event = json!({"type": types[usize::from(n) * 5 % types.len()], "company": company, "project": project,
            "id": format!("change-{n}"),
            "data": {"title": "Ship the new start page", "list": "Doing", "amount": f64::from(n) + 0.5,
                "by": {"id": "u_17", "name": "Maja"}, "tags": ["urgent", "web"]}});
        api.accepted(&event).await;
    }
    subscriptions
}

/// Returns the folder for the screenshots.
fn folder() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
    let folder: PathBuf = crate::support::variable("SCREENS", default);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Takes the four screenshots of a view.
async fn picture(browser: &Browser, name: &str, path: &str, shows: &str) {
    for (screen, width, height) in SCREENS {
        for scheme in SCHEMES {
            browser.screen(width, height, scheme).await;
            browser.open(path).await;
            browser.until_shows(shows).await;
            let file = folder().join(format!("{name}-{screen}-{scheme}.png"));
            std::fs::write(file, browser.picture(HEIGHT_MAX).await).unwrap();
        }
    }
}

async fn started(settings: &str) -> (DaemonSetup, crate::support::process::RunningDaemon, ApiClient) {
    let setup = DaemonSetup::new(crate::support::memory_dir(), settings);
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    (setup, running, api)
}

/// Waits for the newest delivery that the search finds.
async fn delivery(api: &ApiClient, search: &str) -> String {
    let pause = Duration::from_millis(100);
    crate::support::eventually(search, WITHIN, pause, async || {
        let found = api.get(&format!("/v1/deliveries?limit=1&{search}")).await;
        found["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes pictures: run it by hand"]
async fn every_view_is_captured() {
    let (empty, _empty, _) = started("").await;
    let browser = Browser::start(&format!("http://{}", empty.address)).await;
    picture(&browser, "welcome", "/", "in three steps").await;
    let (locked, _locked, _) = started(KEY).await;
    let browser = Browser::start(&format!("http://{}", locked.address)).await;
    picture(&browser, "login", "/login", "Log in with an API key").await;

    let (setup, _running, api) = started(&settings()).await;
    let replies: [Script; 4] = [
        always(Reply::Status(204)),
        Box::new(|seen: &ReceivedRequest| {
            Reply::Status(if seen.json()["data"]["amount"] == REFUSED { 500 } else { 200 })
        }),
        always(Reply::Status(503)),
        always(Reply::Slow(Duration::from_millis(120), 200)),
    ];
    let mut receivers = Vec::new();
    for reply in replies {
        receivers.push(Receiver::start(Clock::system(), reply).await);
    }
    let receivers: [Receiver; 4] = receivers.try_into().unwrap_or_else(|_| panic!("four were started"));
    let subscriptions = happen(&api, &receivers).await;
    let id = |n: usize| subscriptions[n]["id"].as_str().unwrap();
    delivery(&api, "state=held").await;
    delivery(&api, &format!("state=succeeded&subscription={}", id(1))).await;
    let retried = delivery(&api, &format!("state=pending&subscription={}", id(2))).await;
    let event = api.get("/v1/events?limit=1&type=TODO_MOVED").await["items"][0]["id"].take();
    let event = event.as_str().unwrap();
    let job = api.post(&format!("/v1/subscriptions/{}/replay", id(0)), &json!({})).await.expect(202);

    let browser = Browser::start(&format!("http://{}", setup.address)).await;
    for (name, path, shows) in [
        ("overview", "/".to_owned(), "Recent deliveries"),
        ("subscriptions", "/subscriptions".to_owned(), "Data warehouse"),
        ("subscription", format!("/subscriptions/{}", id(0)), "Recent deliveries"),
        ("disabled", format!("/subscriptions/{}", id(3)), "Nothing is lost"),
        ("editor", format!("/subscriptions/{}/edit", id(2)), "Test against recent events"),
        ("new", "/subscriptions/new".to_owned(), "New subscription"),
        ("delete", format!("/subscriptions/{}/delete", id(3)), "You cannot undo this."),
        ("deliveries", "/deliveries".to_owned(), "Replays"),
        ("delivery", format!("/deliveries/{retried}"), "is next"),
        ("events", "/events".to_owned(), "Redeliver selected"),
        ("event", format!("/events/{event}"), "Subscriptions without a delivery"),
        ("replay-form", format!("/subscriptions/{}/replay?count=1", id(0)), "will be replayed"),
        ("replay", format!("/replays/{}", job["id"].as_str().unwrap()), "Completed"),
        ("replays", "/replays".to_owned(), "Completed"),
        ("redeliver", "/events/again?type=TODO_MOVED&to=CRM".to_owned(), "will be delivered to CRM"),
    ] {
        picture(&browser, name, &path, shows).await;
    }
    live(&browser, &api).await;
}

/// Captures the live view while events happen.
async fn live(browser: &Browser, api: &ApiClient) {
    for (screen, width, height) in SCREENS {
        for scheme in SCHEMES {
            browser.screen(width, height, scheme).await;
            browser.open("/live").await;
            browser.until_shows("online").await;
            for n in 0..4 {
                let event = json!({"type": "TODO_CREATED", "company": "acme", "project": "website", "data": {"n": n}});
                api.accepted(&event).await;
            }
            browser.until_shows("Delivered").await;
            let file = folder().join(format!("live-{screen}-{scheme}.png"));
            std::fs::write(file, browser.picture(HEIGHT_MAX).await).unwrap();
        }
    }
}
