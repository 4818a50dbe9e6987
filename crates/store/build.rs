//! Has the crate built again when a migration changes: they are embedded by a macro, which cargo cannot see through.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/sqlite");
}
