//! The matching index: which subscriptions want an event.
