//! Questions on a terminal, in the form LXD asks them.

use std::io::{BufRead, BufReader, Stdin, Stdout, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Ctx, Error, Kind, Result};

/// Someone who is asked.
pub(super) struct Ask<I: BufRead, O: Write> {
    input: I,
    output: O,
    /// Whether the input is a terminal, whose echo is switched off for passwords.
    terminal: bool,
}

impl Ask<BufReader<Stdin>, Stdout> {
    /// Whoever sits at standard input.
    pub(super) fn terminal() -> Ask<BufReader<Stdin>, Stdout> {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
        Ask { input: BufReader::new(std::io::stdin()), output: std::io::stdout(), terminal }
    }
}

impl<I: BufRead, O: Write> Ask<I, O> {
    /// A script of answers.
    #[cfg(test)]
    pub(super) fn script(input: I, output: O) -> Ask<I, O> {
        Ask { input, output, terminal: false }
    }

    /// Says something, on a line of its own.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        writeln!(self.output, "{text}").ctx(Kind::Internal, || "Failed to write")
    }

    /// Yes or no.
    pub(super) fn yes(&mut self, question: &str, default: bool) -> Result<bool> {
        self.plain_yes(&format!("{question} (yes/no)"), default)
    }

    /// Yes or no, where LXD doesn't say so.
    pub(super) fn plain_yes(&mut self, question: &str, default: bool) -> Result<bool> {
        let word = if default { "yes" } else { "no" };
        let answer = self.until(&format!("{question} [default={word}]: "), word, |answer| {
            match answer.to_lowercase().as_str() {
                "yes" | "y" => Ok(true),
                "no" | "n" => Ok(false),
                _ => Err("Invalid input, try again.\n".to_string()),
            }
        })?;
        Ok(answer)
    }

    /// One of several words.
    pub(super) fn choice(&mut self, question: &str, choices: &[String], default: &str) -> Result<String> {
        let prompt = format!("{question} ({}) [default={default}]: ", choices.join(", "));
        self.until(&prompt, default, |answer| {
            let known = choices.iter().any(|choice| choice == answer);
            if known { Ok(answer.to_string()) } else { Err("Invalid input, try again.\n".to_string()) }
        })
    }

    /// A text that `check` takes; `check` says what is wrong with others.
    pub(super) fn text(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> std::result::Result<(), String>,
    ) -> Result<String> {
        let prompt = match default {
            Some(default) => format!("{question} [default={default}]: "),
            None => format!("{question}: "),
        };
        self.until(&prompt, default.unwrap_or_default(), |answer| {
            if answer.is_empty() {
                return Err("Invalid input, try again.\n".to_string());
            }
            check(answer).map(|()| answer.to_string())
        })
    }

    /// A text that `check` takes, which may be empty.
    pub(super) fn maybe_text(
        &mut self,
        question: &str,
        check: impl Fn(&str) -> std::result::Result<(), String>,
    ) -> Result<String> {
        self.until(&format!("{question}: "), "", |answer| check(answer).map(|()| answer.to_string()))
    }

    /// A number from `range`.
    pub(super) fn number(&mut self, question: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> Result<i64> {
        let word = default.to_string();
        self.until(&format!("{question} [default={word}]: "), &word, |answer| match answer.parse::<i64>() {
            Ok(n) if range.contains(&n) => Ok(n),
            Ok(_) => Err("Invalid input: out of range\n".to_string()),
            Err(_) => Err("Invalid input: not an integer\n".to_string()),
        })
    }

    /// A password, typed twice and not shown. An empty one is taken: it means none.
    pub(super) fn password(&mut self, question: &str) -> Result<String> {
        loop {
            let first = self.hidden(&format!("{question}: "))?;
            if first == self.hidden("Again: ")? {
                return Ok(first);
            }
            self.say("Invalid input, try again.\n")?;
        }
    }

    fn until<T>(
        &mut self,
        prompt: &str,
        default: &str,
        read: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        loop {
            let line = self.line(prompt)?;
            let answer = if line.is_empty() { default } else { &line };
            match read(answer) {
                Ok(value) => return Ok(value),
                Err(complaint) => self.say(&complaint)?,
            }
        }
    }

    /// One line, spaces around it removed. The end of the input is an error: nobody is there to be asked again.
    fn line(&mut self, prompt: &str) -> Result<String> {
        let out = write!(self.output, "{prompt}").and_then(|()| self.output.flush());
        out.ctx(Kind::Internal, || "Failed to write")?;
        let mut line = String::new();
        if self.input.read_line(&mut line).ctx(Kind::Invalid, || "Failed to read the answer")? == 0 {
            return Err(Error::invalid("EOF"));
        }
        Ok(line.trim().to_string())
    }

    fn hidden(&mut self, prompt: &str) -> Result<String> {
        if !self.terminal {
            return self.line(prompt);
        }
        let _quiet = Quiet::new();
        let line = self.line(prompt)?;
        self.say("")?;
        Ok(line)
    }
}

/// Switches the terminal's echo off until it is dropped.
struct Quiet(Option<Termios>);

impl Quiet {
    fn new() -> Quiet {
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Quiet(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).ok();
        Quiet(Some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            tcsetattr(std::io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_asked_again() {
        let mut out = Vec::new();
        let mut ask = Ask::script("maybe\nNO\n70000\nx\n\n".as_bytes(), &mut out);
        assert!(!ask.yes("Sure?", true).unwrap());
        assert_eq!(ask.number("Port", 1..=65535, 8443).unwrap(), 8443);
        assert_eq!(ask.yes("More?", true).unwrap_err().message(), "EOF");
        let want = "Sure? (yes/no) [default=yes]: Invalid input, try again.\n\nSure? (yes/no) [default=yes]: \
            Port [default=8443]: Invalid input: out of range\n\nPort [default=8443]: Invalid input: not an integer\n\n\
            Port [default=8443]: More? (yes/no) [default=yes]: ";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn passwords_are_typed_twice() {
        let mut out = Vec::new();
        let mut ask = Ask::script("a\nb\nc\nc\n".as_bytes(), &mut out);
        assert_eq!(ask.password("Trust password for new clients").unwrap(), "c");
    }
}
