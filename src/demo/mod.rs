//! `postrider demo`: runs a daemon on sample events and shows what it does.
//!
//! The demo starts a daemon on a temporary data directory, with three subscriptions and three receivers. It then submits
//! events and calls the API over HTTP as any client. One receiver breaks, its subscription is disabled, and the receiver
//! is repaired. In the end every accepted event has reached every matching subscription. The demo verifies its own
//! output and exits with an error if a check fails.

mod api;
mod outage;
mod page;
mod receiver;
mod recovery;
mod script;
mod story;
mod tally;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::app::{Daemon, Options};
use crate::config::Config;
use crate::console::Output;
use crate::model::secret::Secret;
use crate::model::time::Clock;
use page::Page;
use receiver::{Ledger, Receivers};
use story::Story;
use tally::Tally;

/// Arguments of `demo`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Demo {
    /// Keep the daemon and its receivers running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// The config of the demo's daemon. The retry delays are short, so that a person can watch them.
const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]

[storage]
path = '%DIRECTORY%/data'
disk_reserve = "1MiB"

[delivery]
retry_schedule = ["500ms", "800ms", "1s", "1300ms"]
jitter = 0.1
allow_networks = ["127.0.0.0/8"]

# Record events except deletions, in every project of acme.
[[subscriptions]]
name = "crm"
url = "%CRM%"
events = ["TODO_*", "!TODO_DELETED"]
projects = ["acme/*"]
secret = "%SECRET%"

# Everything in one project of acme and in all but one of globex.
[[subscriptions]]
name = "warehouse"
url = "%WAREHOUSE%"
projects = ["acme/website", "globex/*", "!globex/secret"]
format = "cloudevents"
secret = "%SECRET%"

# Comments and checklists in every project, one at a time, in the format of Blue. Its receiver is going to break.
[[subscriptions]]
name = "chat"
url = "%CHAT%"
events = ["COMMENT_*", "TODO_CHECKLIST_*"]
format = "blue"
max_in_flight = 1
secret = "%SECRET%"
"#;

/// Runs the demo. With `--keep`, the daemon and the receivers then run until Ctrl-C.
///
/// # Errors
/// A check failed. The error says what was expected and what was found.
pub(crate) async fn run(args: Demo, output: Output) -> anyhow::Result<()> {
    let page = if output.json { Page::silent() } else { Page::new() };
    let directory = tempfile::tempdir().context("failed to make a temporary directory")?;
    let (clock, ledger, secret) = (Clock::system(), Ledger::default(), Secret::from_random(rand::random()));
    let receivers = Receivers::start(&secret, &clock, &ledger).await?;
    let text = config_text(&directory.path().display().to_string(), &receivers, &secret);
    let config = Config::parse(&text, "the demo's config", [])?;
    let mut daemon = Daemon::start(config, Options::system()).await?;
    let address = *daemon.addresses().first().context("the demo's daemon serves no address")?;
    let url = format!("http://{address}");
    let story = Story::new(page, clock, api::Api::new(&url)?, receivers, ledger.clone());
    let told = tokio::select! {
        told = play(story, output) => told,
        error = daemon.failed() => Err(error),
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped by Ctrl-C before the end of the demo")),
    };
    let kept = match told {
        Ok(receivers) if args.keep => keep(page, &url, &ledger, &receivers, &mut daemon).await,
        Ok(_) => {
            page.next_steps();
            Ok(())
        }
        Err(error) => Err(error),
    };
    let stopped = daemon.stop().await.context("failed to stop the demo's daemon");
    kept.and(stopped)
}

async fn play(mut story: Story, output: Output) -> anyhow::Result<Receivers> {
    story.introduce().await?;
    story.show_matching().await?;
    let outage = story.show_outage().await?;
    story.show_recovery(&outage).await?;
    let tally: Tally = story.close().await?;
    if output.json {
        output.print(&tally.to_json(), "")?;
    }
    Ok(story.into_receivers())
}

fn config_text(directory: &str, receivers: &Receivers, secret: &Secret) -> String {
    CONFIG
        .replace("%DIRECTORY%", directory)
        .replace("%CRM%", &receivers.crm.url())
        .replace("%WAREHOUSE%", &receivers.warehouse.url())
        .replace("%CHAT%", &receivers.chat.url())
        .replace("%SECRET%", secret.reveal())
}

/// Prints arriving requests until Ctrl-C. The receivers run while they are borrowed.
async fn keep(
    page: Page,
    url: &str,
    ledger: &Ledger,
    _receivers: &Receivers,
    daemon: &mut Daemon,
) -> anyhow::Result<()> {
    page.still_running(url);
    let shown = ledger.len();
    tokio::select! {
        () = page.follow(ledger, shown) => bail!("the receivers stopped unexpectedly"),
        error = daemon.failed() => Err(error),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to wait for Ctrl-C"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_config_is_valid_and_has_three_subscriptions() {
        let secret = Secret::from_random([7; 32]);
        let receivers = Receivers::start(&secret, &Clock::system(), &Ledger::default()).await.unwrap();
        let config = Config::parse(&config_text("/tmp/demo", &receivers, &secret), "demo", []).unwrap();
        let names: Vec<_> = config.subscriptions.iter().map(|one| one.input.spec.name.as_str()).collect();
        assert_eq!(names, script::RECEIVERS);
    }
}
