//! Keyfob's host: the one program that talks to keys.
//!
//! ```text
//!   command line ─┐                                    ┌─ PC/SC ──────── card
//!                 ├─ message::Request ─► Service ─► Keys ┤
//!   browser ──────┘   (native messaging)   │             └─ soft ───────── encrypted file
//!                                        policy
//! ```
//!
//! A front end asks in the protocol of [`keyfob_core::message`]; [`service::Service`] answers, within what
//! [`policy`] allows that front end.

pub mod asker;
pub mod browser;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod error;
pub mod exit;
pub mod front;
pub mod holders;
pub mod import;
pub mod key;
pub mod keychain;
pub mod native_messaging;
pub mod notify;
pub mod passwords;
pub mod paths;
pub mod policy;
pub mod prompt;
pub mod service;
pub mod soft;
pub mod touch;
pub mod vpcd;
