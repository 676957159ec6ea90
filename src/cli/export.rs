//! `postrider subscriptions export`: prints subscriptions in the form of the config file.

use std::collections::BTreeSet;

use anyhow::Context as _;
use http::Method;
use serde_json::{Map, Value, json};

use super::pages::collect;
use crate::config::subscription_toml;
use crate::console::Output;
use crate::console::client::Client;
use crate::model::input::SubscriptionInput;
use crate::model::setting::SETTINGS;

/// Prints the named subscriptions, or all that the API manages.
pub(super) async fn run(client: &Client, names: &[String], output: Output) -> anyhow::Result<()> {
    let mut subscriptions = Vec::new();
    if names.is_empty() {
        let all = collect(client, "/v1/subscriptions").await?;
        subscriptions.extend(all.into_iter().filter(|one| one.get("managed_by") == Some(&json!("api"))));
    }
    for name in names {
        let id = super::lookup::subscription_id(client, name).await?;
        subscriptions.push(client.call(Method::GET, &format!("/v1/subscriptions/{id}"), None).await?);
    }
    let mut taken = Taken::default();
    for subscription in &subscriptions {
        let Export { toml, secret_env } = export(subscription, &mut taken)?;
        let json = json!({ "id": subscription.get("id"), "toml": toml, "secret_env": secret_env });
        output.print(&json, &toml)?;
    }
    if !subscriptions.is_empty() {
        output.note("secrets are not exported: set the environment variables that secret_env names")?;
    }
    Ok(())
}

struct Export {
    toml: String,
    secret_env: String,
}

/// The names and variables that the export has used.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    variables: BTreeSet<String>,
}

fn export(subscription: &Value, taken: &mut Taken) -> anyhow::Result<Export> {
    let member = |name: &str| Some((name.to_owned(), subscription.get(name)?.clone()));
    let mut members: Map<String, Value> =
        SETTINGS.iter().filter_map(|setting| member(setting.name)).collect();
    let has_client = members.get("tls_client_cert").is_some_and(|pem| !pem.is_null());
    let name = readable_name(members.clone())?;
    let name = free(&mut taken.names, &name, "-");
    let secret_env = free(&mut taken.variables, &variable(&name), "_");
    members.insert("name".to_owned(), name.into());
    // The daemon does not show the key. A stand-in marks it as set.
    members.extend(has_client.then(|| ("tls_client_key".to_owned(), true.into())));
    let is_off = subscription.get("disabled_reason") == Some(&json!("manual"));
    let toml = subscription_toml(&members, is_off.then_some(false), &secret_env);
    let id = subscription.get("id").and_then(Value::as_str).unwrap_or_default();
    let key = if has_client { " Its client key is not exported: set tls_client_key_file." } else { "" };
    Ok(Export {
        toml: format!(
            "# {id}. Its secret is not exported: set {secret_env} in the daemon's environment.{key}\n{toml}"
        ),
        secret_env,
    })
}

/// Checks that this version reads the settings, and returns the name of the subscription.
fn readable_name(mut members: Map<String, Value>) -> anyhow::Result<String> {
    // A client certificate cannot be checked without its key.
    members.remove("tls_client_cert");
    let input = SubscriptionInput::read(&members).ok();
    let input = input.context(
        "this version does not understand the daemon's subscription: use the version of the daemon",
    )?;
    Ok(input.spec.name)
}

/// Returns the name, with a number appended if it is in use.
fn free(taken: &mut BTreeSet<String>, name: &str, joint: &str) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}{joint}{number}");
        number += 1;
    }
    candidate
}

fn variable(name: &str) -> String {
    let word = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' }
    };
    format!("{}_SECRET", name.chars().map(word).collect::<String>().trim_matches('_'))
        .trim_start_matches('_')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn an_exported_subscription_can_be_read_back() {
        let full = json!({
            "id": "sub_1", "name": "crm \"a\"", "url": "https://u:p@crm.internal/hooks?x=1",
            "events": ["TODO_*", "!TODO_DELETED"], "projects": ["acme/*"], "filter": "event.data.x == \"\u{7f}\\\\\"",
            "format": "blue", "headers": {"x-team": "a \"b\""}, "timeout": "3s", "retry_schedule": [],
            "max_in_flight": 4, "rate_limit": "50/s", "ordering": "fifo", "disabled_reason": "manual",
        });
        let plain = json!({
            "id": "sub_2", "name": "crm \"a\"", "url": "http://x/", "events": ["*"], "projects": ["*"], "filter": null,
            "format": "standard", "headers": {}, "timeout": null, "retry_schedule": null, "max_in_flight": null,
            "rate_limit": null, "ordering": "none", "disabled_reason": null,
        });
        let mut taken = Taken::default();
        let exported = [&full, &plain].map(|one| export(one, &mut taken).unwrap());
        let env = exported.iter().map(|export| (export.secret_env.clone(), SECRET.to_owned()));
        let text = exported.iter().map(|export| export.toml.as_str()).collect::<Vec<_>>().join("\n");
        let config = Config::parse(&text, "exported", env).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for (original, loaded) in [&full, &plain].into_iter().zip(&config.subscriptions) {
            for (name, value) in loaded.input.spec.to_members() {
                if name != "name" {
                    assert_eq!(&value, &original[&name], "{name} in\n{text}");
                }
            }
        }
        let names: Vec<_> = config.subscriptions.iter().map(|one| one.input.spec.name.as_str()).collect();
        assert_eq!(names, ["crm \"a\"", "crm \"a\"-2"]);
        let enabled: Vec<_> = config.subscriptions.iter().map(|one| one.input.enabled).collect();
        assert_eq!(enabled, [Some(false), None]);
        assert!(!text.contains("whsec_"));
    }

    #[test]
    fn variable_names_contain_only_letters_and_underscores() {
        assert_eq!(variable("crm"), "CRM_SECRET");
        assert_eq!(variable("crm.internal: hooks"), "CRM_INTERNAL__HOOKS_SECRET");
        assert_eq!(variable("å"), "SECRET");
    }
}
