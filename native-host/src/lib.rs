//! Keyfob's host: the one program that talks to keys.
//!
//! ```text
//!   command line ─┐                                              ┌─ PC/SC ──────── card
//!                 ├─ message::Request ─► Holder ─► Service ─► Keys ┤
//!   browser ──────┘  (in process, or      (one     │             └─ soft ───────── encrypted file
//!                     over the agent's    queue)  policy
//!                     socket)
//! ```
//!
//! A front end asks in the protocol of [`keyfob_core::message`]; [`holder::Holder`] lets one question at a time to the
//! key, and [`service::Service`] answers, within what [`policy`] allows that front end.

pub mod agent;
pub mod ask;
pub mod asker;
pub mod aws_call;
pub mod aws_files;
pub mod batch;
pub mod browser;
pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod doctor;
mod entry;
pub mod error;
pub mod exit;
pub mod front;
pub mod harden;
pub mod holder;
pub mod holders;
pub mod http;
pub mod iam;
pub mod import;
pub mod journal;
pub mod key;
pub mod keychain;
pub mod link_desk;
pub mod locked;
mod logins;
mod loopback;
pub mod native_messaging;
pub mod notify;
pub mod passwords;
pub mod paths;
pub mod policy;
pub mod profile;
pub mod program;
pub mod prompt;
pub mod query;
pub mod rotation;
pub mod s3_list;
pub mod service;
pub mod session;
mod shelf;
mod signals;
pub mod signing;
pub mod soft;
pub mod touch;
pub mod vpcd;
pub mod wire;
