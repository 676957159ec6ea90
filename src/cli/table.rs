//! Text tables, as wide as the terminal.

use std::io::IsTerminal as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// The heading of a column, and the JSON Pointer of its value in an item.
pub(super) type Column = (&'static str, &'static str);

/// Returns the items as a table with these columns. Only page 0 has the headings.
pub(super) fn table(columns: &[Column], items: &[Value], page: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if page == 0 {
        table.set_header(columns.iter().map(|(heading, _)| *heading));
    }
    for item in items {
        table
            .add_row(columns.iter().map(|(_, pointer)| item.pointer(pointer).map_or_else(String::new, cell)));
    }
    trimmed(&table)
}

/// Returns an object as lines of names and values. Nested members have a dotted name.
pub(super) fn sheet(value: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let mut rows = Vec::new();
    flatten("", value, &mut rows);
    rows.sort_by_key(|(name, _)| match name.as_str() {
        "id" => 0,
        "name" => 1,
        _ => 2,
    });
    for (name, text) in rows {
        table.add_row([name, text]);
    }
    trimmed(&table)
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, member, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{prefix}.{}", index + 1), item, rows);
            }
        }
        value => rows.push((prefix.to_owned(), cell(value))),
    }
}

/// Returns a value as text; null and empty lists are a dash.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Returns the width of the terminal in characters.
fn width() -> Option<u16> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&out).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_item() {
        let items = [json!({"id": "a", "stats": {"held": 2}}), json!({"id": "bcd", "on": true})];
        let text = table(&[("id", "/id"), ("held", "/stats/held"), ("on", "/on")], &items, 0);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [vec!["id", "held", "on"], vec!["a", "2"], vec!["bcd", "yes"]]);
        assert_eq!(table(&[("id", "/id")], &items, 1).lines().count(), 2);
    }

    #[test]
    fn a_sheet_shows_nested_members() {
        let text =
            sheet(&json!({"id": "a", "attempts": [{"status": 503}], "events": ["A", "B"], "due_at": null}));
        let rows: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["id a", "attempts.1.status 503", "due_at -", "events A, B"]);
    }
}
