//! `postrider check`: checks the config file and prints the resulting settings.

use std::path::Path;

use serde_json::json;

use crate::api::serve::tls::Tls;
use crate::config::{Config, ConfigErrors};
use crate::console::Output;
use crate::rules::filter::Filter;
use crate::rules::target::AllowedNetworks;

/// Prints the resulting settings, or returns an error that lists every problem.
pub(super) fn run(file: Option<&Path>, output: Output) -> anyhow::Result<()> {
    match Config::load(file, std::env::vars()) {
        Ok(config) => {
            check_references(&config)?;
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

/// Checks what the config reader does not: the certificate and its key, the filters, and the addresses of receivers.
fn check_references(config: &Config) -> anyhow::Result<()> {
    let networks = AllowedNetworks::new(config.delivery.allow_networks.clone());
    let mut problems = Vec::new();
    if let Some(Err(error)) = config.server.tls.as_ref().map(Tls::open) {
        problems.push(format!("server.tls_cert: failed to {error}"));
    }
    for spec in config.subscriptions.iter().map(|one| &one.input.spec) {
        if let Some(Err(error)) = spec.filter.as_deref().map(Filter::compile) {
            problems.push(format!("subscription '{}': filter: {error}", spec.name));
        }
        if let Err(error) = networks.check_url(&spec.url) {
            problems.push(format!("subscription '{}': url: {error}", spec.name));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(problems.join("\n"))) }
}

fn to_json(errors: &ConfigErrors) -> Vec<serde_json::Value> {
    let member = |error: &crate::config::ConfigError| json!({ "source": error.source_name, "key": error.key, "value": error.value, "detail": error.detail });
    errors.problems().iter().map(member).collect()
}

fn refusal(errors: &ConfigErrors) -> anyhow::Error {
    match errors.problems().len() {
        1 => anyhow::anyhow!("1 error in the configuration\n{errors}"),
        count => anyhow::anyhow!("{count} errors in the configuration\n{errors}"),
    }
}
