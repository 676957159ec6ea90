//! Drives a real Chromium browser through chromedriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

/// The time within which a page must show an element or text.
const SHOWS_WITHIN: Duration = Duration::from_secs(20);
/// The time within which a killed browser must end.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A `chromedriver` on its own port with its own browser. Dropping it ends both.
pub(crate) struct Browser {
    client: Client,
    base: String,
    _processes: Processes,
}

/// The driver process and the profile of the browser that it starts. A browser can outlive its driver, so its
/// processes are found by the profile's path.
struct Processes {
    driver: Child,
    profile: TempDir,
}

/// Settings in which a browser differs from a fresh one.
#[derive(Default)]
pub(crate) struct BrowserOptions {
    pub(crate) language: &'static str,
    pub(crate) has_no_script: bool,
    /// A host name that the browser resolves to this machine.
    pub(crate) rebound: Option<&'static str>,
}

impl Browser {
    /// Starts a browser in English for the daemon at `base`.
    pub(crate) async fn start(base: &str) -> Self {
        Self::start_as(base, &BrowserOptions { language: "en-GB", ..BrowserOptions::default() }).await
    }

    /// Starts a browser with the given options for the daemon at `base`.
    pub(crate) async fn start_as(base: &str, manner: &BrowserOptions) -> Self {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("no chromedriver: {error}; scripts/test installs it"));
        let mut processes = Processes { driver, profile: TempDir::new().unwrap() };
        let mut lines = BufReader::new(processes.driver.stdout.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.find(|line| line.contains("started successfully on port")).unwrap();
        let port: u16 = ready.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
        // A thread reads the driver's output to the end, so that the driver never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let capabilities = capabilities(&processes.profile, manner);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("no browser: {error}"));
        client.set_window_size(1440, 900).await.unwrap();
        Self { client, base: base.to_owned(), _processes: processes }
    }

    /// Returns the underlying WebDriver client.
    pub(crate) fn driver(&self) -> &Client {
        &self.client
    }

    /// Emulates a screen of this size in CSS pixels with the light or dark colour scheme.
    pub(crate) async fn screen(&self, width: u32, height: u32, scheme: &'static str) {
        self.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Returns a PNG screenshot from the top of the page, at most `height_max` pixels high.
    pub(crate) async fn picture(&self, height_max: u32) -> Vec<u8> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        let height = size["height"].as_f64().unwrap().min(height_max.into());
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let asked = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", asked).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// Sends one command of the Chrome DevTools protocol.
    pub(crate) async fn devtools(&self, command: &'static str, params: Value) -> Value {
        self.client.issue_cmd(Devtools { command, params }).await.unwrap()
    }

    /// Opens a path of the page.
    pub(crate) async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Returns the path and query that the browser shows.
    pub(crate) async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.base).unwrap().to_owned()
    }

    /// Waits for an element that matches the selector and returns it.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(SHOWS_WITHIN).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("no {css} at {}: {error}\n{}", self.path().await, self.text().await),
        }
    }

    /// Clicks the element that matches the selector.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Clicks the link or button with exactly this text.
    pub(crate) async fn click_text(&self, text: &str) {
        let xpath = format!("//*[self::a or self::button or self::label][normalize-space()='{text}']");
        let found = self.client.wait().at_most(SHOWS_WITHIN).for_element(Locator::XPath(&xpath)).await;
        let element = found.unwrap_or_else(|error| panic!("nothing says '{text}': {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// Appends text to the field that matches the selector.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.find(css).await.send_keys(text).await.unwrap();
    }

    /// Returns all text that the page shows.
    pub(crate) async fn text(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Returns the texts of all elements that match the selector.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent.trim())";
        let texts = self.client.execute(script, vec![json!(css)]).await.unwrap();
        serde_json::from_value(texts).unwrap()
    }

    /// Waits until the page shows the text.
    pub(crate) async fn until_shows(&self, text: &str) {
        let pause = Duration::from_millis(50);
        let asked = tokio::time::timeout(
            SHOWS_WITHIN,
            crate::support::eventually("the text shows", SHOWS_WITHIN * 2, pause, async || {
                let shown = self.client.find(Locator::Css("body")).await.ok()?.text().await.ok()?;
                shown.contains(text).then_some(())
            }),
        );
        let is_shown = asked.await.is_ok();
        assert!(is_shown, "'{text}' does not show at {}:\n{}", self.path().await, self.text().await);
    }
}

/// A Chrome DevTools command, sent through chromedriver.
#[derive(Debug)]
struct Devtools {
    command: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.command, "params": self.params}).to_string()))
    }
}

impl Processes {
    /// Returns every running process that was started with the profile. An ended process has no command line.
    fn of_profile(&self) -> Vec<Pid> {
        let profile = self.profile.path().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
        let of_profile = processes.filter_map(|process| {
            let id = process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
            let command = std::fs::read(process.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&command).contains(&profile).then_some(id)
        });
        of_profile.collect()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // Killing a process that has already ended does no harm.
        drop(self.driver.kill());
        drop(self.driver.wait());
        let began = tokio::time::Instant::now();
        loop {
            let left = self.of_profile();
            if left.is_empty() || began.elapsed() > ENDS_WITHIN {
                return assert!(left.is_empty() || std::thread::panicking(), "browsers go on: {left:?}");
            }
            for pid in left {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            std::thread::yield_now();
        }
    }
}

fn capabilities(profile: &TempDir, manner: &BrowserOptions) -> serde_json::Map<String, Value> {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &format!("--user-data-dir={}", profile.path().display()),
        &format!("--accept-lang={}", manner.language),
        &manner.rebound.map_or(String::new(), |name| format!("--host-resolver-rules=MAP {name} 127.0.0.1")),
    ];
    let arguments = arguments.iter().filter(|argument| !argument.is_empty()).collect::<Vec<_>>();
    let mut preferences = json!({"intl.accept_languages": manner.language});
    if manner.has_no_script {
        preferences["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments, "prefs": preferences},
        "timeouts": {"script": 60_000, "pageLoad": 60_000},
    });
    let Value::Object(capabilities) = capabilities else { panic!("{capabilities}") };
    capabilities
}
