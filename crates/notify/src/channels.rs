//! The kinds of channels, one folder each: how a page looks there, how it is sent, and what the answers mean.

pub(crate) mod discord;
pub(crate) mod slack;
pub(crate) mod smtp;
pub(crate) mod webhook;
