//! Resolves the ids and names that a command is given.

use anyhow::bail;
use serde_json::Value;

use super::pages::collect;
use crate::console::UsageError;
use crate::console::client::Client;

/// Checks an id that a request path contains, and returns it unchanged.
///
/// # Errors
/// The text holds a character that no id contains.
pub(super) fn plain_id(text: &str) -> anyhow::Result<String> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(UsageError(format!(
            "invalid id '{text}': expected an id such as evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G"
        ))
        .into());
    }
    Ok(text.to_owned())
}

/// Returns the id of the subscription with this id or name.
///
/// # Errors
/// No subscription has the name, or several have it.
pub(super) async fn subscription_id(client: &Client, name: &str) -> anyhow::Result<String> {
    if name.starts_with("sub_") {
        return plain_id(name);
    }
    let all = collect(client, "/v1/subscriptions").await?;
    let named = all.iter().filter(|one| one.get("name").and_then(Value::as_str) == Some(name));
    let ids: Vec<&str> = named.filter_map(|one| one.get("id")?.as_str()).collect();
    match ids[..] {
        [id] => Ok(id.to_owned()),
        [] => bail!(
            "no subscription has the name '{name}': run `postrider subscriptions list` to see all names"
        ),
        _ => {
            bail!("{} subscriptions have the name '{name}': use an id instead: {}", ids.len(), ids.join(", "))
        }
    }
}
