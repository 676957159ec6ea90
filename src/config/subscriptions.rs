//! Reads the subscriptions of the config file and their secrets.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigSubscription;
use super::section::Section;
use crate::model::input::SubscriptionInput;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::model::setting::{Kind, SETTINGS, Setting};

const SECRET_KEYS: [&str; 3] = ["secret", "secret_env", "secret_file"];

/// The members whose text may be in a file, each with the key that names the file.
fn file_keys() -> impl Iterator<Item = (&'static str, String)> {
    let is_pem = |setting: &&Setting| matches!(setting.kind, Kind::Certificates | Kind::PrivateKey);
    SETTINGS.iter().filter(is_pem).map(|setting| (setting.name, format!("{}_file", setting.name)))
}

/// The sources of secrets besides the config file.
pub(super) struct Secrets<'a> {
    /// The environment variables.
    pub(super) env: &'a BTreeMap<String, String>,
    /// The directory to which `secret_file` is relative.
    pub(super) directory: &'a Path,
}

/// Reads one `[[subscriptions]]` table.
pub(super) fn read(s: &mut Section<'_>, secrets: &Secrets<'_>) -> Option<ConfigSubscription> {
    s.demand("name", "a unique name; keep the name to keep the waiting deliveries");
    let secret = secret(s, secrets);
    let known = SETTINGS.iter().map(|setting| setting.name).chain(["enabled"]).collect::<Vec<_>>();
    for member in &known {
        s.get(member);
    }
    let members = s.members().filter(|(name, _)| known.contains(&name.as_str()));
    let mut members: Map<_, _> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    let is_complete = add_files(s, secrets.directory, &mut members);
    match SubscriptionInput::read(&members) {
        Ok(input) if is_complete => Some(ConfigSubscription { input, secret: secret? }),
        Ok(_) => None,
        Err(problems) => {
            let problems = problems.into_iter().map(|problem| at_file_key(s, problem)).collect();
            s.refuse_all(problems);
            None
        }
    }
}

/// Adds the members whose texts are in files. False if one of them could not be read.
fn add_files(s: &mut Section<'_>, directory: &Path, members: &mut Map<String, Value>) -> bool {
    let mut is_complete = true;
    for (member, key) in file_keys() {
        let Some(path) = s.text(&key, "the path of a file") else { continue };
        let path = directory.join(path);
        if members.contains_key(member) {
            s.refuse(&key, format_args!("is set together with '{member}': keep only one of them"));
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => drop(members.insert(member.to_owned(), Value::String(text))),
            Err(error) => {
                s.refuse(&key, format_args!("cannot be read as {}: {error}", path.display()));
                is_complete = false;
            }
        }
    }
    is_complete
}

/// The problem at the key that the text came from.
fn at_file_key(s: &mut Section<'_>, problem: Problem) -> Problem {
    let key = file_keys().find(|(member, _)| problem.pointer.strip_prefix('/') == Some(*member));
    match key {
        Some((_, key)) if s.get(&key).is_some() => {
            Problem::new(format!("/{key}"), format_args!("names a file that {}", problem.detail))
        }
        _ => problem,
    }
}

/// Reads the secret from the one source that is set.
fn secret(s: &mut Section<'_>, secrets: &Secrets<'_>) -> Option<Secret> {
    let mut given =
        SECRET_KEYS.into_iter().filter(|name| s.get(name).is_some()).collect::<Vec<_>>().into_iter();
    let Some(first) = given.next() else {
        let remedy =
            "set one of secret, secret_env and secret_file; `postrider keygen --webhook` generates a secret";
        s.refuse("", format_args!("has no secret: {remedy}"));
        return None;
    };
    for second in given {
        s.refuse(second, format_args!("is set together with '{first}': keep only one of them"));
    }
    match first {
        "secret_env" => from_env(s, secrets.env),
        "secret_file" => from_file(s, secrets.directory),
        _ => s.parsed("secret", "a string"),
    }
}

fn from_env(s: &mut Section<'_>, env: &BTreeMap<String, String>) -> Option<Secret> {
    let variable = s.text("secret_env", "the name of an environment variable")?;
    let Some(text) = env.get(variable) else {
        s.refuse("secret_env", "names a variable that is not set: set it in the daemon's environment");
        return None;
    };
    let secret = text.trim().parse::<Secret>();
    secret.map_err(|error| s.refuse("secret_env", format_args!("names a variable whose value {error}"))).ok()
}

fn from_file(s: &mut Section<'_>, directory: &Path) -> Option<Secret> {
    let path = directory.join(s.text("secret_file", "the path of a file")?);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        s.refuse("secret_file", format_args!("cannot be read as {}: {error}", path.display()));
    });
    let secret = text.ok()?.trim().parse::<Secret>();
    secret.map_err(|error| s.refuse("secret_file", format_args!("names a file whose text {error}"))).ok()
}
