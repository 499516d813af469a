//! What commands print: tables, YAML, JSON, sizes, and progress.

use std::io::Write;

mod dates;
mod json;
mod natural;
mod progress;
mod table;
mod units;
mod yaml;

pub use dates::{date, local_date, long_date};
pub use json::{json_compact, json_indented, sorted};
pub use natural::sort_rows;
pub use progress::Progress;
pub use table::{Rows, plain, render};
pub use units::{bytes_iec, parse_size};
pub use yaml::{yaml, yaml_untyped};

/// 128 + SIGPIPE, what a shell reports of a program that the signal ended.
pub const BROKEN_PIPE: i32 = 141;

/// Writes to standard output. A reader that went away ends the program, as it ends any filter.
pub fn emit(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text).and_then(|()| out.flush()).is_err() {
        std::process::exit(BROKEN_PIPE);
    }
}

/// Writes to standard error; there is nowhere to say that this failed.
pub fn complain(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Gives members that are `null` another value, as Go prints lists and maps that were never set.
pub fn fill(value: &mut serde_json::Value, members: &[&str], with: serde_json::Value) {
    for member in members {
        if let Some(found) = value.get_mut(member).filter(|found| found.is_null()) {
            *found = with.clone();
        }
    }
}

/// Prints a formatted line to standard output.
#[macro_export]
#[doc(hidden)]
macro_rules! __say {
    ($($arg:tt)*) => { $crate::cli::output::emit((format!($($arg)*) + "\n").as_bytes()) };
}
pub use crate::__say as say;

/// Prints a formatted line to standard error.
#[macro_export]
#[doc(hidden)]
macro_rules! __note {
    ($($arg:tt)*) => { $crate::cli::output::complain(&(format!($($arg)*) + "\n")) };
}
pub use crate::__note as note;
