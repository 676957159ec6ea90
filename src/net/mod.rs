//! The outbound HTTP client and its resolver.
