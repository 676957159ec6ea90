//! Reads the lists of the API page by page and prints them.

use clap::Args;
use http::Method;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::table::{Column, table};
use crate::console::Output;
use crate::console::client::Client;

/// The most items in one page of the API.
const PAGE_MAX: usize = 500;

/// The arguments that limit a list.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Paging {
    /// The most items to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show all items
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Paging {
    /// A listing without a limit.
    pub(super) const ALL: Self = Self { limit: 0, all: true };

    fn limit(self) -> usize {
        if self.all { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) }
    }
}

/// Returns the path with a query of the parameters that have a value.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}{mark}{query}")
}

/// Calls `each` with the number and the items of every page. Returns whether the list has more items than the limit.
pub(super) async fn pages(
    client: &Client,
    path: &str,
    parameters: &[(&str, Option<&str>)],
    paging: Paging,
    mut each: impl FnMut(usize, &[Value]) -> std::io::Result<()>,
) -> anyhow::Result<bool> {
    let (mut left, mut cursor, mut page) = (paging.limit(), None::<String>, 0);
    loop {
        let limit = left.min(PAGE_MAX).to_string();
        let own = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
        let asked: Vec<_> = parameters.iter().chain(&own).copied().collect();
        let answer = client.call(Method::GET, &with_query(path, &asked), None).await?;
        let items = answer.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !items.is_empty() {
            each(page, items)?;
            page += 1;
        }
        left = left.saturating_sub(items.len());
        cursor = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() || left == 0 {
            return Ok(cursor.is_some());
        }
    }
}

/// Prints a list as a table, or as one line of JSON per item.
pub(super) async fn show(
    client: &Client,
    path: &str,
    parameters: &[(&str, Option<&str>)],
    paging: Paging,
    (columns, output): (&[Column], Output),
) -> anyhow::Result<()> {
    let mut shown = 0;
    let has_more = pages(client, path, parameters, paging, |page, items| {
        shown += items.len();
        if output.json {
            return items.iter().try_for_each(|item| output.print(item, ""));
        }
        output.print(&Value::Null, &table(columns, items, page))
    })
    .await?;
    if !output.json && shown == 0 {
        output.print(&Value::Null, "no items")?;
    }
    if !output.json && has_more {
        output
            .note(&format!("only the first {shown} items are shown: use --limit N or --all to show more"))?;
    }
    Ok(())
}

/// Returns every item of a list.
pub(super) async fn collect(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    pages(client, path, &[], Paging::ALL, |_, items| {
        all.extend_from_slice(items);
        Ok(())
    })
    .await?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_contains_the_parameters_that_have_a_value() {
        assert_eq!(with_query("/x", &[("a", None)]), "/x");
        assert_eq!(with_query("/x", &[("a", Some("1 &")), ("b", None), ("c", Some("2"))]), "/x?a=1+%26&c=2");
    }
}
