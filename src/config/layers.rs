//! Merges the sources of settings: the environment overrides the file, and the file overrides the built-in defaults.
//!
//! For each value, this module also finds the line or the variable that set it. [`read`](super::read) interprets the
//! values.

use std::collections::BTreeMap;
use std::ops::Range;

use figment::value::{Dict, Map, Num, Value as Setting};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value;
use toml_edit::{Document, Item, TableLike};

use super::error::ConfigErrors;
use crate::model::pointer::{escape, unescape};

/// The reference of all keys and their defaults. The exception is `delivery.allow_networks`: this file allows private
/// networks for receivers on site, which a daemon without a file must not do.
const REFERENCE: &str = include_str!("../../config.toml");
const BUILT_IN: &str = "built-in default";
const PREFIX: &str = "POSTRIDER_";
const NESTED: &str = "__";

/// The merged layers.
pub(super) struct Layers {
    /// The settings by section and key.
    pub(super) merged: Value,
    figment: Figment,
    settings: Setting,
    file: File,
}

struct File {
    name: String,
    table: Dict,
    lines: BTreeMap<String, usize>,
}

impl Layers {
    /// Merges the layers. Variables in `env` that are not Postrider's are ignored.
    pub(super) fn new(text: &str, name: &str, env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let file = File::parse(text, name)?;
        let mut reference = File::parse(REFERENCE, BUILT_IN)?.table;
        if let Some(Setting::Dict(_, delivery)) = reference.get_mut("delivery") {
            delivery.insert("allow_networks".to_owned(), Setting::from(Vec::<Setting>::new()));
        }
        let mut figment = Figment::new().merge(Layer { name: BUILT_IN.to_owned(), table: reference });
        figment = figment.merge(Layer { name: file.name.clone(), table: file.table.clone() });
        for (variable, text) in env {
            if let Some(table) = variable_table(variable, text) {
                figment = figment.merge(Layer { name: variable.clone(), table });
            }
        }
        let settings = figment
            .find_value("")
            .map_err(|error| ConfigErrors::whole(name.to_owned(), error.to_string()))?;
        let merged = to_json(&settings);
        Ok(Self { merged, figment, settings, file })
    }

    /// Returns the source that set the value at `pointer`, or the source of the table that lacks it.
    pub(super) fn source_name(&self, pointer: &str) -> String {
        let name = self.layer(pointer);
        if name != self.file.name {
            return name;
        }
        match self.line(pointer) {
            Some(line) => format!("{name}:{line}"),
            None => name,
        }
    }

    /// Returns the line, from 1, that set the value at `pointer` or the table around it. Used for sorting.
    pub(super) fn line(&self, pointer: &str) -> Option<usize> {
        ancestors(pointer).find_map(|pointer| self.file.lines.get(pointer).copied())
    }

    /// Returns whether an environment variable set the value at `pointer`. Its numbers are text.
    pub(super) fn is_variable(&self, pointer: &str) -> bool {
        self.layer(pointer).starts_with(PREFIX)
    }

    fn layer(&self, pointer: &str) -> String {
        let setting = ancestors(pointer).find_map(|pointer| find(&self.settings, pointer));
        let metadata = setting.and_then(|setting| self.figment.get_metadata(setting.tag()));
        metadata.map_or_else(|| self.file.name.clone(), |metadata| metadata.name.to_string())
    }
}

/// Yields `pointer` and then each pointer around it, outwards.
fn ancestors(pointer: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(pointer), |pointer| Some(pointer.rsplit_once('/')?.0))
        .filter(|pointer| !pointer.is_empty())
}

/// Returns the setting at `pointer`, if any layer set it.
fn find<'a>(settings: &'a Setting, pointer: &str) -> Option<&'a Setting> {
    pointer.split('/').skip(1).try_fold(settings, |setting, part| match setting {
        Setting::Dict(_, table) => table.get(&unescape(part)),
        Setting::Array(_, list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

struct Layer {
    name: String,
    table: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.table.clone())]))
    }
}

/// Converts a variable such as `POSTRIDER_SERVER__LISTEN` to a table of one key.
///
/// Variables without `__` are ignored, because container platforms set some with the same prefix.
fn variable_table(variable: &str, text: &str) -> Option<Dict> {
    let path = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    path.contains(NESTED).then_some(())?;
    let mut names = path.split(NESTED).collect::<Vec<_>>();
    let innermost = Dict::from([(names.pop()?.to_owned(), variable_setting(text))]);
    let table = names
        .into_iter()
        .rev()
        .fold(innermost, |table, name| Dict::from([(name.to_owned(), Setting::from(table))]));
    Some(table)
}

/// Parses lists and tables. Other values stay text until the type of their key is known.
fn variable_setting(text: &str) -> Setting {
    match text.trim() {
        list if list.starts_with(['[', '{']) => {
            list.parse().unwrap_or_else(|never: std::convert::Infallible| match never {})
        }
        text => Setting::from(text),
    }
}

fn to_json(setting: &Setting) -> Value {
    match setting {
        Setting::String(_, text) => Value::from(text.as_str()),
        Setting::Char(_, character) => Value::from(character.to_string()),
        Setting::Bool(_, value) => Value::from(*value),
        Setting::Num(_, number) => number_to_json(*number),
        Setting::Empty(..) => Value::Null,
        Setting::Dict(_, table) => {
            table.iter().map(|(name, setting)| (name.clone(), to_json(setting))).collect()
        }
        Setting::Array(_, list) => list.iter().map(to_json).collect(),
    }
}

/// Converts a number. NaN and the infinities, which JSON lacks, become text, which every numeric key refuses.
fn number_to_json(number: Num) -> Value {
    let whole = number.to_i128().or_else(|| number.to_u128().and_then(|value| i128::try_from(value).ok()));
    if let Some(number) = whole.and_then(serde_json::Number::from_i128) {
        return Value::Number(number);
    }
    let float = number.to_f64().unwrap_or(f64::NAN);
    serde_json::Number::from_f64(float).map_or_else(|| Value::from(float.to_string()), Value::Number)
}

impl File {
    fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let document = Document::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, &span));
            ConfigErrors::whole(format!("{name}:{line}"), format!("is not TOML: {}", error.message()))
        })?;
        let mut walk = Walk { text, lines: BTreeMap::new() };
        let table = walk.table("", document.as_table());
        Ok(Self { name: name.to_owned(), table, lines: walk.lines })
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// Collects the settings of a TOML document and their lines.
struct Walk<'a> {
    text: &'a str,
    lines: BTreeMap<String, usize>,
}

impl Walk<'_> {
    fn table(&mut self, pointer: &str, table: &dyn TableLike) -> Dict {
        let mut settings = Dict::new();
        for (name, item) in table.iter() {
            let pointer = format!("{pointer}/{}", escape(name));
            self.note(&pointer, table.key(name).and_then(toml_edit::Key::span));
            settings.insert(name.to_owned(), self.item(&pointer, item));
        }
        settings
    }

    fn item(&mut self, pointer: &str, item: &Item) -> Setting {
        match item {
            Item::None => Setting::from(Dict::new()),
            Item::Value(value) => self.value(pointer, value),
            Item::Table(table) => Setting::from(self.table(pointer, table)),
            Item::ArrayOfTables(tables) => {
                let tables = tables.iter().enumerate().map(|(index, table)| {
                    let pointer = format!("{pointer}/{index}");
                    self.note(&pointer, table.span());
                    Setting::from(self.table(&pointer, table))
                });
                Setting::from(tables.collect::<Vec<_>>())
            }
        }
    }

    fn value(&mut self, pointer: &str, value: &toml_edit::Value) -> Setting {
        use toml_edit::Value;
        match value {
            Value::String(text) => Setting::from(text.value().as_str()),
            Value::Integer(number) => Setting::from(*number.value()),
            Value::Float(number) => Setting::from(*number.value()),
            Value::Boolean(value) => Setting::from(*value.value()),
            // No key has a date. As text, it is refused by its key.
            Value::Datetime(date) => Setting::from(date.value().to_string()),
            Value::InlineTable(table) => Setting::from(self.table(pointer, table)),
            Value::Array(values) => {
                let settings = values.iter().enumerate().map(|(index, value)| {
                    let pointer = format!("{pointer}/{index}");
                    self.note(&pointer, value.span());
                    self.value(&pointer, value)
                });
                Setting::from(settings.collect::<Vec<_>>())
            }
        }
    }

    fn note(&mut self, pointer: &str, span: Option<Range<usize>>) {
        if let Some(span) = span {
            self.lines.insert(pointer.to_owned(), line_of(self.text, &span));
        }
    }
}
