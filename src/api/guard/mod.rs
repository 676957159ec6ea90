//! The check that every request passes before its handler: keys, roles, and protection against web pages.

pub mod access;
pub mod browser;
pub mod throttle;
