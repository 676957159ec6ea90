//! The typed mirror of config.toml.
