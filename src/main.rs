//! The `postrider` executable.

use std::process::ExitCode;

use clap::Parser as _;
use postrider::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
