//! `postrider completions`: prints a completion script for a shell.

use std::io::Write as _;

use clap::{Args, Command};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell that the script is for
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(super) fn run(args: &Completions, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "postrider", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
