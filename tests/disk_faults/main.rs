//! Disk failures: errors of single steps, power cuts, and damaged files.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod corruption;
mod faults;
#[expect(unsafe_code, reason = "system calls are watched by definitions of the same names")]
#[expect(dead_code, reason = "each module uses its own part")]
mod faulty_disk;
mod power_loss;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
