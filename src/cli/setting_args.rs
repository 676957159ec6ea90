//! The flags of a subscription's settings, one for each row of [`SETTINGS`].

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use serde_json::{Map, Value};

use crate::model::setting::{Kind, SETTINGS, Setting};

/// The settings that were given on the command line, as members of the API. The daemon validates them.
///
/// The required URL is not among them: `add` takes it as an argument, and `edit` has a flag of its own.
#[derive(Debug)]
pub(super) struct Settings(pub(super) Map<String, Value>);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(optional().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let member = |setting: &Setting| Some((setting.name.to_owned(), given(setting, matches)?));
        Ok(Self(optional().filter_map(member).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

fn optional() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !setting.is_required())
}

/// Returns the flag of a setting.
fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.flag)
        .help(help(setting))
        .value_name(value_name(setting.kind))
        .value_parser(parser(setting.kind));
    match setting.kind {
        Kind::EventTerms | Kind::ProjectTerms | Kind::Waits => {
            arg.value_delimiter(',').action(ArgAction::Append)
        }
        Kind::Headers => arg.action(ArgAction::Append),
        _ => arg,
    }
}

/// Returns the setting's description and default, in plain text.
fn help(setting: &Setting) -> String {
    let note = match setting.kind {
        Kind::Headers => "; repeat the flag for more",
        Kind::Waits => " (write it as \"none\")",
        Kind::Certificates | Kind::PrivateKey => "; give a file",
        _ => "",
    };
    let example = match setting.kind {
        Kind::EventTerms | Kind::ProjectTerms | Kind::Waits | Kind::Filter | Kind::Timeout | Kind::Rate => {
            format!(", such as {}", setting.example.replace(", ", ","))
        }
        _ => String::new(),
    };
    let default = setting.default.replace('`', "");
    format!("{}{note}{example} [default: {default}]", setting.description.replace('`', ""))
}

const fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Name => "NAME",
        Kind::Url => "URL",
        Kind::EventTerms => "TYPES",
        Kind::ProjectTerms => "PROJECTS",
        Kind::Filter => "EXPRESSION",
        Kind::Format => "FORMAT",
        Kind::Ordering => "ORDERING",
        Kind::Headers => "NAME=VALUE",
        Kind::Timeout => "TIME",
        Kind::Waits => "TIMES",
        Kind::Count(_) => "N",
        Kind::Rate => "RATE",
        Kind::Certificates | Kind::PrivateKey => "FILE",
        Kind::Email => "ADDRESS",
    }
}

fn parser(kind: Kind) -> ValueParser {
    match kind {
        Kind::Count(_) => value_parser!(u32).into(),
        Kind::Headers => ValueParser::new(header),
        Kind::Certificates | Kind::PrivateKey => ValueParser::new(file_text),
        _ => ValueParser::string(),
    }
}

/// Returns the value that was given for a setting, as the API takes it.
fn given(setting: &Setting, matches: &ArgMatches) -> Option<Value> {
    let name = setting.name;
    let texts = || matches.get_many::<String>(name).map(|texts| texts.cloned().collect::<Vec<_>>());
    match setting.kind {
        Kind::Count(_) => matches.get_one::<u32>(name).copied().map(Value::from),
        Kind::Headers => {
            let headers = matches.get_many::<(String, String)>(name)?.cloned();
            Some(Value::Object(headers.map(|(name, value)| (name, value.into())).collect()))
        }
        Kind::EventTerms | Kind::ProjectTerms => texts().map(Value::from),
        Kind::Waits => texts().map(|waits| if waits == ["none"] { Vec::new() } else { waits }.into()),
        _ => matches.get_one::<String>(name).cloned().map(Value::from),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("invalid value '{text}': expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn file_text(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_flag_whose_value_becomes_its_member() {
        let directory = tempfile::tempdir().unwrap();
        let pem = directory.path().join("a.pem");
        std::fs::write(&pem, "PEM\n").unwrap();
        let pem = pem.to_str().unwrap();
        let value = |kind| match kind {
            Kind::Certificates | Kind::PrivateKey => pem,
            Kind::Count(_) => "3",
            Kind::Headers => "x-a=b=c",
            _ => "a,b",
        };
        let args = optional().flat_map(|setting| [format!("--{}", setting.flag), value(setting.kind).into()]);
        let command = Settings::augment_args(Command::new("test"));
        let matches = command.try_get_matches_from(std::iter::once("test".to_owned()).chain(args)).unwrap();
        let Settings(members) = Settings::from_arg_matches(&matches).unwrap();
        for setting in optional() {
            let expected = match setting.kind {
                Kind::Certificates | Kind::PrivateKey => "PEM\n".into(),
                Kind::Count(_) => 3.into(),
                Kind::Headers => serde_json::json!({"x-a": "b=c"}),
                Kind::EventTerms | Kind::ProjectTerms | Kind::Waits => serde_json::json!(["a", "b"]),
                _ => "a,b".into(),
            };
            assert_eq!(members.get(setting.name), Some(&expected), "{}", setting.name);
        }
    }
}
