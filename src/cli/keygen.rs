//! `postrider keygen`: API keys and signing secrets, from the operating system's chance.

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
    /// Make a secret that signs deliveries instead of an API key
    #[arg(long, conflicts_with_all = ["name", "role"])]
    webhook: bool,
    /// Make it an ed25519 key, which receivers verify with its public half
    #[arg(long, requires = "webhook")]
    ed25519: bool,
    /// Whose key it is
    #[arg(long, default_value = "my-key")]
    name: String,
    /// What the key may do
    #[arg(long, default_value = "ingest", value_parser = PossibleValuesParser::new(Role::WORDS.map(|(word, _)| word)))]
    role: String,
}

/// Makes one and prints it; it is kept nowhere.
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
        "{key}\n\n# The line above is the key: it is shown this once. These lines go into config.toml:\n\
         [[auth.keys]]\nname = {}\nrole = \"{}\"\nsha256 = \"{sha256}\"",
        json!(args.name),
        args.role
    );
    output.print(&json!({ "key": key, "name": args.name, "role": args.role, "sha256": sha256 }), &text)?;
    Ok(())
}

/// The secret and, of an ed25519 one, what its receivers need.
fn print_secret(secret: &Secret, output: Output) -> anyhow::Result<()> {
    let Some(public_key) = secret.public_key().map(|key| key.to_string()) else {
        output.print(&json!({ "secret": secret.reveal() }), secret.reveal())?;
        return Ok(());
    };
    let text = format!(
        "{}\n\n# The line above is the secret, for the subscription. Receivers verify with this:\n{public_key}",
        secret.reveal()
    );
    output.print(&json!({ "secret": secret.reveal(), "public_key": public_key }), &text)?;
    Ok(())
}
