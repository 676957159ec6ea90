//! The `postrider` executable.

use std::process::ExitCode;

use clap::Parser as _;
use postrider::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // mimalloc uses huge pages, with which an idle daemon needs five times the memory. If they cannot be disabled, the
    // daemon only uses more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run(Cli::parse())
}
