//! `postrider keygen`: generates API keys and signing secrets from the operating system's random source.

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde_json::json;

use crate::config::Role;
use crate::console::Output;
use crate::model::secret::{Secret, SecretKind};

const KEY_PREFIX: &str = "prk_";

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Generate a secret that signs deliveries instead of an API key
    #[arg(long, conflicts_with_all = ["name", "role"])]
    webhook: bool,
    /// Generate an ed25519 key pair, whose public key verifies the signatures
    #[arg(long, requires = "webhook")]
    ed25519: bool,
    /// The name of the key in the config file
    #[arg(long, default_value = "my-key")]
    name: String,
    /// The role of the key
    #[arg(long, default_value = "ingest", value_parser = PossibleValuesParser::new(Role::WORDS.map(|(word, _)| word)))]
    role: String,
}

/// Generates a key or a secret and prints it. It is stored nowhere.
pub(super) fn run(args: &Keygen, output: Output) -> anyhow::Result<()> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).context("failed to get random bytes from the operating system")?;
    if args.webhook {
        let kind = if args.ed25519 { SecretKind::Ed25519 } else { SecretKind::HmacSha256 };
        return print_secret(&Secret::of_kind(kind, bytes), output);
    }
    let key = format!("{KEY_PREFIX}{}", hex::encode(bytes));
    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, key.as_bytes()));
    let text = format!(
        "{key}\n\n# The line above is the key. It is shown only once. Add these lines to config.toml:\n\
         [[auth.keys]]\nname = {}\nrole = \"{}\"\nsha256 = \"{sha256}\"",
        json!(args.name),
        args.role
    );
    output.print(&json!({ "key": key, "name": args.name, "role": args.role, "sha256": sha256 }), &text)?;
    Ok(())
}

/// Prints the secret and, for an ed25519 key pair, the public key.
fn print_secret(secret: &Secret, output: Output) -> anyhow::Result<()> {
    let Some(public_key) = secret.public_key().map(|key| key.to_string()) else {
        output.print(&json!({ "secret": secret.reveal() }), secret.reveal())?;
        return Ok(());
    };
    let text = format!(
        "{}\n\n# The line above is the secret of the subscription. Receivers verify with this public key:\n{public_key}",
        secret.reveal()
    );
    output.print(&json!({ "secret": secret.reveal(), "public_key": public_key }), &text)?;
    Ok(())
}
