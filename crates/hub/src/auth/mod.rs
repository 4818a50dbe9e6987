//! Who is asking: tokens, passwords, sessions, and what each may do. The routes say what they need; here stands who has it.

pub mod attempts;
pub mod password;
mod scope;
pub mod token;

pub use scope::{Principal, Scope};
