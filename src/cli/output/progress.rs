//! One line that says how far something is, rewritten in place. Nothing is shown when nobody looks.

use rustix::termios::isatty;

use super::emit;

/// A line of progress on standard output.
pub struct Progress {
    shown: usize,
    visible: bool,
}

impl Progress {
    /// Visible when standard output is a terminal, unless `quiet`.
    pub fn new(quiet: bool) -> Progress {
        Progress { shown: 0, visible: !quiet && isatty(std::io::stdout()) }
    }

    /// Whether anything is shown at all.
    pub fn visible(&self) -> bool {
        self.visible
    }

    /// Shows a text in place of the last one.
    pub fn update(&mut self, text: &str) {
        if self.visible {
            let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            let length = text.chars().count();
            emit(format!("\r{text}{}", " ".repeat(self.shown.saturating_sub(length))).as_bytes());
            self.shown = length;
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.shown > 0 {
            emit(format!("\r{}\r", " ".repeat(self.shown)).as_bytes());
            self.shown = 0;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
