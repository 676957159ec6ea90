//! The body that a receiver gets, by format.
