//! The state of dispatch: the lanes, the slots that they share, and their timers.

pub(super) mod deleted;
pub(super) mod lanes;
pub(super) mod slots;
pub(super) mod timers;
