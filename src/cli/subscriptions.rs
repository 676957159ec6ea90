//! `postrider subscriptions`: creates, shows, changes, tests and deletes subscriptions.

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

/// The subcommands. A subscription is given by its id, or by its name if the name is unique.
#[derive(Debug, Subcommand)]
enum Command {
    /// List the subscriptions
    List(#[command(flatten)] Paging),
    /// Show a subscription
    Show {
        /// The subscription, by its id or name
        subscription: String,
    },
    /// Create a subscription and print its secret, which is shown only once
    Add(Add),
    /// Change the settings of a subscription
    Edit(Edit),
    /// Enable a subscription; if health disabled it, its receiver must pass a health check
    Enable {
        /// The subscription, by its id or name
        subscription: String,
    },
    /// Disable a subscription: it matches no events until it is enabled again
    Disable {
        /// The subscription, by its id or name
        subscription: String,
    },
    /// Send a signed sample event now and show the result
    Test {
        /// The subscription, by its id or name
        subscription: String,
        /// The event type of the sample
        #[arg(long)]
        r#type: Option<String>,
    },
    /// Rotate the secret; the old secret also signs during the grace period
    RotateSecret(Rotate),
    /// Delete subscriptions and cancel their unfinished deliveries
    Rm {
        /// The subscriptions, by their ids or names
        #[arg(required = true)]
        subscriptions: Vec<String>,
    },
    /// Print subscriptions as `[[subscriptions]]` tables for the config file
    Export {
        /// The subscriptions, by their ids or names [default: all that the API manages]
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
    /// The subscription, by its id or name
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
    /// The subscription, by its id or name
    subscription: String,
    /// The grace period in which the old secret also signs, such as 24h
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// The new secret [default: the daemon generates one]
    #[arg(long, env = "POSTRIDER_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
}

/// Runs the subcommand.
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
        return Err(UsageError(
            "nothing to change: use the flags of the settings to change, or --reset".to_owned(),
        )
        .into());
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

/// Sends a sample. The command fails if the receiver does not accept it.
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
    bail!("the receiver did not accept the sample")
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
