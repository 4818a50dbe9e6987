//! The endpoints over real sockets, against a small hub in memory that records and answers.

mod client;
mod hub;
mod post;
mod session;
mod socket;
mod understand;
