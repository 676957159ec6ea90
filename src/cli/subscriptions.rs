//! `postrider subscriptions`: who wants to be told of what.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::export;
use super::lookup::subscription_id;
use super::pages::{Paging, show};
use super::setting_args::Settings;
use super::table::{Column, sheet};
use crate::console::client::Client;
use crate::console::{Output, UsageError};

const COLUMNS: [Column; 8] = [
    ("id", "/id"),
    ("name", "/name"),
    ("health", "/health"),
    ("why", "/disabled_reason"),
    ("waiting", "/stats/pending"),
    ("held", "/stats/held"),
    ("by", "/managed_by"),
    ("url", "/url"),
];

/// Arguments of `subscriptions`.
#[derive(Debug, Args)]
pub struct Subscriptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// What to do with subscriptions. Each is named by its id, or by its name where only one has it.
#[derive(Debug, Subcommand)]
enum Command {
    /// List them
    List(#[command(flatten)] Paging),
    /// Show one
    Show {
        /// Its id or name
        subscription: String,
    },
    /// Make one; prints its secret, which is never shown again
    Add(Add),
    /// Change one's settings
    Edit(Edit),
    /// Switch one on; after bad health its receiver has to pass a health check
    Enable {
        /// Its id or name
        subscription: String,
    },
    /// Switch one off: it matches nothing until it is on again
    Disable {
        /// Its id or name
        subscription: String,
    },
    /// Send one signed sample now, and show what came of it
    Test {
        /// Its id or name
        subscription: String,
        /// The event type that the sample shows
        #[arg(long)]
        r#type: Option<String>,
    },
    /// Give one a new secret; the old one signs beside it for a while
    RotateSecret(Rotate),
    /// Delete some; what they have not delivered is cancelled
    Rm {
        /// Their ids or names
        #[arg(required = true)]
        subscriptions: Vec<String>,
    },
    /// Print them as `[[subscriptions]]` tables for the config file
    Export {
        /// Their ids or names [default: all that the config file does not manage]
        subscriptions: Vec<String>,
    },
}

/// The arguments of `add`.
#[derive(Debug, Args)]
struct Add {
    /// The http or https URL of the receiver
    url: String,
    #[command(flatten)]
    settings: Settings,
    /// The signing secret [default: the daemon generates one]
    #[arg(long, env = "POSTRIDER_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Create the subscription disabled
    #[arg(long)]
    disabled: bool,
}

/// The arguments of `edit`.
#[derive(Debug, Args)]
struct Edit {
    /// Its id or name
    subscription: String,
    /// The http or https URL of the receiver
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Settings to reset to their defaults, by their names in the API, such as `timeout,notify_email`
    #[arg(long, value_delimiter = ',', value_name = "SETTINGS")]
    reset: Vec<String>,
}

/// Arguments of `rotate-secret`.
#[derive(Debug, Args)]
struct Rotate {
    /// Its id or name
    subscription: String,
    /// How long the old secret goes on signing, such as 24h
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// The new secret [default: one is made]
    #[arg(long, env = "POSTRIDER_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
}

/// Does what was asked.
pub(super) async fn run(args: Subscriptions, config: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let client = args.connection.client(config)?;
    match args.command {
        Command::List(paging) => show(&client, "/v1/subscriptions", &[], paging, (&COLUMNS, output)).await,
        Command::Show { subscription } => {
            let path = path(&client, &subscription, "").await?;
            print(&client.call(Method::GET, &path, None).await?, output)
        }
        Command::Add(add) => make(&client, add, output).await,
        Command::Edit(edit) => change(&client, edit, output).await,
        Command::Enable { subscription } => switch(&client, &subscription, "enable", output).await,
        Command::Disable { subscription } => switch(&client, &subscription, "disable", output).await,
        Command::Test { subscription, r#type } => sample(&client, &subscription, r#type, output).await,
        Command::RotateSecret(rotate) => renew(&client, rotate, output).await,
        Command::Rm { subscriptions } => remove(&client, &subscriptions, output).await,
        Command::Export { subscriptions } => export::run(&client, &subscriptions, output).await,
    }
}

async fn make(client: &Client, add: Add, output: Output) -> anyhow::Result<()> {
    let Settings(mut members) = add.settings;
    members.insert("url".to_owned(), add.url.into());
    members.extend(add.secret.map(|secret| ("secret".to_owned(), secret.into())));
    if add.disabled {
        members.insert("enabled".to_owned(), false.into());
    }
    print(&client.call(Method::POST, "/v1/subscriptions", Some(&members.into())).await?, output)
}

async fn change(client: &Client, edit: Edit, output: Output) -> anyhow::Result<()> {
    let Settings(mut members) = edit.settings;
    members.extend(edit.url.map(|url| ("url".to_owned(), url.into())));
    members.extend(edit.reset.into_iter().map(|name| (name, Value::Null)));
    if members.is_empty() {
        return Err(UsageError("nothing to change: give the settings, or --reset them".to_owned()).into());
    }
    let path = path(client, &edit.subscription, "").await?;
    print(&client.call(Method::PATCH, &path, Some(&members.into())).await?, output)
}

async fn switch(client: &Client, name: &str, act: &str, output: Output) -> anyhow::Result<()> {
    let answer = client.call(Method::POST, &path(client, name, act).await?, None).await?;
    let word = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let check = answer.pointer("/health_check/status").map(|status| format!(" (health check: {status})"));
    let text = format!("{} {}: {}{}", word("/id"), word("/name"), word("/health"), check.unwrap_or_default());
    output.print(&answer, &text)?;
    Ok(())
}

/// A sample that the receiver did not take is a failure of the command, too.
async fn sample(
    client: &Client,
    name: &str,
    event_type: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let body = event_type.map(|event_type| json!({ "type": event_type }));
    let path = path(client, name, "test").await?;
    let answer = client.call(Method::POST, &path, body.as_ref()).await?;
    let attempt = answer.get("attempt").context("the daemon's answer has no attempt")?;
    output.print(&answer, &sheet(attempt))?;
    let status = attempt.get("status").and_then(Value::as_u64);
    if status.is_some_and(|status| (200..300).contains(&status)) {
        return Ok(());
    }
    bail!("the receiver did not take the sample")
}

async fn renew(client: &Client, rotate: Rotate, output: Output) -> anyhow::Result<()> {
    let given = [("grace", rotate.grace), ("secret", rotate.secret)];
    let members: Map<String, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    let body = (!members.is_empty()).then(|| members.into());
    let path = path(client, &rotate.subscription, "rotate-secret").await?;
    print(&client.call(Method::POST, &path, body.as_ref()).await?, output)
}

async fn remove(client: &Client, names: &[String], output: Output) -> anyhow::Result<()> {
    for name in names {
        let id = subscription_id(client, name).await?;
        client.call(Method::DELETE, &format!("/v1/subscriptions/{id}"), None).await?;
        output.print(&json!({ "deleted": id }), &format!("{id}: deleted"))?;
    }
    Ok(())
}

fn print(subscription: &Value, output: Output) -> anyhow::Result<()> {
    output.print(subscription, &sheet(subscription))?;
    Ok(())
}

async fn path(client: &Client, name: &str, act: &str) -> anyhow::Result<String> {
    let slash = if act.is_empty() { "" } else { "/" };
    Ok(format!("/v1/subscriptions/{}{slash}{act}", subscription_id(client, name).await?))
}
