//! `postrider check`: whether the config file is right, and what is in force.

use std::path::Path;

use serde_json::json;

use super::Output;
use crate::config::{Config, ConfigErrors};

/// Prints the settings in force, or every problem.
pub(super) fn run(file: Option<&Path>, output: Output) -> anyhow::Result<()> {
    match Config::load(file, std::env::vars()) {
        Ok(config) => {
            let toml = config.to_toml();
            output.print(&json!({ "ok": true, "config": toml }), toml.trim_end())?;
            Ok(())
        }
        Err(errors) => {
            if output.json {
                output.print(&json!({ "ok": false, "errors": to_json(&errors) }), "")?;
            }
            Err(refusal(&errors))
        }
    }
}

fn to_json(errors: &ConfigErrors) -> Vec<serde_json::Value> {
    let member = |error: &crate::config::ConfigError| json!({ "source": error.source_name, "key": error.key, "value": error.value, "detail": error.detail });
    errors.problems().iter().map(member).collect()
}

fn refusal(errors: &ConfigErrors) -> anyhow::Error {
    match errors.problems().len() {
        1 => anyhow::anyhow!("1 problem in the config\n{errors}"),
        count => anyhow::anyhow!("{count} problems in the config\n{errors}"),
    }
}
