//! The journey of an event, one file a step.
