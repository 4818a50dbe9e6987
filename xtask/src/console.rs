//! The one place of this program that prints.

/// One line for the person at the terminal.
#[expect(clippy::print_stdout, reason = "a command line program answers on its standard output")]
pub fn say(line: &str) {
    println!("{line}");
}

/// One line that says what went wrong.
pub fn problem(line: &str) {
    eprintln!("error: {line}");
}
