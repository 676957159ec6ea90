//! `postrider subscriptions export`: subscriptions as the config file has them.

use std::collections::BTreeSet;

use anyhow::Context as _;
use http::Method;
use serde_json::{Map, Value, json};

use super::Output;
use super::client::Client;
use super::pages::collect;
use crate::config::subscription_toml;
use crate::model::input::{SPEC_MEMBERS, SubscriptionInput};

/// Prints those that are named, or all that the API manages.
pub(super) async fn run(client: &Client, names: &[String], output: Output) -> anyhow::Result<()> {
    let mut subscriptions = Vec::new();
    if names.is_empty() {
        let all = collect(client, "/v1/subscriptions").await?;
        subscriptions.extend(all.into_iter().filter(|one| one.get("managed_by") == Some(&json!("api"))));
    }
    for name in names {
        let id = super::subscriptions::id(client, name).await?;
        subscriptions.push(client.call(Method::GET, &format!("/v1/subscriptions/{id}"), None).await?);
    }
    let mut taken = Taken::default();
    for subscription in &subscriptions {
        let Export { toml, secret_env } = export(subscription, &mut taken)?;
        let json = json!({ "id": subscription.get("id"), "toml": toml, "secret_env": secret_env });
        output.print(&json, &toml)?;
    }
    if !subscriptions.is_empty() {
        output.note(
            "secrets are never shown again and so not exported: set the variables that secret_env names",
        )?;
    }
    Ok(())
}

struct Export {
    toml: String,
    secret_env: String,
}

/// What the file may have only once.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    variables: BTreeSet<String>,
}

fn export(subscription: &Value, taken: &mut Taken) -> anyhow::Result<Export> {
    let members: Map<String, Value> = SPEC_MEMBERS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), subscription.get(name)?.clone())))
        .collect();
    let input = SubscriptionInput::read(&members);
    let mut spec =
        input.ok().context("the daemon's answer is not a subscription as this version knows them")?.spec;
    spec.name = free(&mut taken.names, &spec.name, "-");
    let secret_env = free(&mut taken.variables, &variable(&spec.name), "_");
    let is_off = subscription.get("disabled_reason") == Some(&json!("manual"));
    let toml = subscription_toml(&spec, is_off.then_some(false), &secret_env);
    let id = subscription.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(Export {
        toml: format!(
            "# {id}; its secret is not shown: set {secret_env} in the daemon's environment.\n{toml}"
        ),
        secret_env,
    })
}

/// The name, with a number if it is taken.
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
    fn what_is_exported_loads_back() {
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
    fn variables_are_words() {
        assert_eq!(variable("crm"), "CRM_SECRET");
        assert_eq!(variable("crm.internal: hooks"), "CRM_INTERNAL__HOOKS_SECRET");
        assert_eq!(variable("å"), "SECRET");
    }
}
