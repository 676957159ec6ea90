//! The `postrider` executable.

use std::process::ExitCode;

use clap::Parser as _;
use postrider::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, with which an idle daemon takes five times the memory. Where they cannot
    // be switched off, that is all that is lost.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run(Cli::parse())
}
