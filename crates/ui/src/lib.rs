//! Placeholder face; the crate's owner replaces this file.
