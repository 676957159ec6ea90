//! Signatures of deliveries.
