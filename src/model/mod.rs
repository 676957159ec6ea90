//! The words of the domain as types: nothing here does I/O or knows how it is stored or sent.
//!
//! Values are parsed at the door ([`name`], [`selector`], [`input`]) so that inner code cannot hold a bad
//! one. The journey starts with an [`event::EventContent`] that somebody submits and ends with a
//! [`delivery::Delivery`] in a final state.

pub mod attempt;
pub mod delivery;
pub mod email;
pub mod event;
pub mod id;
pub mod input;
pub mod member_error;
pub mod metrics;
pub mod name;
pub mod notice;
pub mod pointer;
pub mod problem;
pub mod proxy;
pub mod replay;
pub mod secret;
pub mod selector;
pub mod setting;
pub mod span;
pub mod string_enum;
pub mod subscription;
pub mod time;
pub mod tls;
pub mod trace;
