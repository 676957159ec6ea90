//! Payload filters in CEL.
