//! The program `nightbell-agent`.
fn main() {}
