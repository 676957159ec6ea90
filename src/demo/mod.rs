//! `postrider demo`: the whole daemon at work on real-looking events, told as it happens.
//!
//! It starts a daemon on a temporary data directory with three subscriptions and three receivers of its own, and
//! then does only what anybody could do: it submits events and calls the API over HTTP. One receiver breaks, its
//! subscription is switched off, the receiver is mended; in the end every accepted event has reached every
//! subscription that wanted it. What is told is checked first: the demo fails where it does not hold.

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
    /// Leave the daemon and its receivers running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What the demo's daemon runs on. The waits before retries are short, so that a person can watch them.
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

# Records and what belongs to them, but no deletions, in every project of acme.
[[subscriptions]]
name = "crm"
url = "%CRM%"
events = ["TODO_*", "!TODO_DELETED"]
projects = ["acme/*"]
secret = "%SECRET%"

# Everything, of one project of acme and of all but one of globex.
[[subscriptions]]
name = "warehouse"
url = "%WAREHOUSE%"
projects = ["acme/website", "globex/*", "!globex/secret"]
format = "cloudevents"
secret = "%SECRET%"

# Comments and checklists wherever they are, one at a time, as Blue sends them. Its receiver is going to break.
[[subscriptions]]
name = "chat"
url = "%CHAT%"
events = ["COMMENT_*", "TODO_CHECKLIST_*"]
format = "blue"
max_in_flight = 1
secret = "%SECRET%"
"#;

/// Tells the whole story; with `--keep` then leaves everything running until Ctrl-C.
///
/// # Errors
/// When anything is not as it is told, with what was expected and what was found.
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
        told = tell(story, output) => told,
        error = daemon.failed() => Err(error),
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped by Ctrl-C before the end of the story")),
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

async fn tell(mut story: Story, output: Output) -> anyhow::Result<Receivers> {
    story.introduce().await?;
    story.tell_of_matching().await?;
    let outage = story.tell_of_the_outage().await?;
    story.tell_of_the_recovery(&outage).await?;
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

/// Shows what arrives until Ctrl-C. The receivers serve for as long as they are borrowed.
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
        () = page.follow(ledger, shown) => bail!("the receivers ended by themselves"),
        error = daemon.failed() => Err(error),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to wait for Ctrl-C"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_config_is_valid_and_has_the_three_subscriptions() {
        let secret = Secret::from_random([7; 32]);
        let receivers = Receivers::start(&secret, &Clock::system(), &Ledger::default()).await.unwrap();
        let config = Config::parse(&config_text("/tmp/demo", &receivers, &secret), "demo", []).unwrap();
        let names: Vec<_> = config.subscriptions.iter().map(|one| one.input.spec.name.as_str()).collect();
        assert_eq!(names, script::RECEIVERS);
    }
}
