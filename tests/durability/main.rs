//! Acknowledged events survive crashes, full disks, clock jumps, overload and backups.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod acknowledgement;
mod backup;
mod clock;
mod disk;
mod disk_use;
mod kill;
mod ledger;
mod overload;
mod replay_restart;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
mod two_daemons;
