//! What people type: `key=value` words, standard input, answers.

use std::io::{BufRead, Read};

use rustix::termios::isatty;

use super::output::emit;
use crate::api::types::ConfigMap;
use crate::error::{Ctx, Error, Kind, Result};
use crate::order::Gather;

/// The most that is read from standard input as a document, in bytes.
const MAX_INPUT: u64 = 16 << 20;

/// Standard input as text when it is no terminal; `None` when it is one.
pub fn piped() -> Result<Option<String>> {
    let input = std::io::stdin();
    if isatty(&input) {
        return Ok(None);
    }
    let mut text = String::new();
    input.lock().take(MAX_INPUT).read_to_string(&mut text).ctx(Kind::Invalid, || "Failed reading standard input")?;
    Ok(Some(text))
}

/// Reads `key=value` words; the only word after a key may be its value in the old form `key value`.
pub fn settings(words: &[String]) -> Result<ConfigMap> {
    if let [key, value] = words
        && !key.contains('=')
    {
        return Ok([(key.clone(), value_of(value)?)].into());
    }
    pairs(words)
}

/// Reads `key=value` words.
pub fn pairs(words: &[String]) -> Result<ConfigMap> {
    words.iter().map(|word| pair(word)).try_gather()
}

/// Reads the `key=value` words of flags, and of what is made, as they are.
pub fn overrides(words: &[String]) -> Result<ConfigMap> {
    shown_overrides(words, String::clone)
}

/// As [`overrides`], with a wrong word in brackets, as LXD's client shows those of pools and volumes.
pub fn storage_overrides(words: &[String]) -> Result<ConfigMap> {
    shown_overrides(words, |word| format!("[{word}]"))
}

fn shown_overrides(words: &[String], shown: fn(&String) -> String) -> Result<ConfigMap> {
    let bad = |word| Error::invalid(format!("Bad key=value pair: {}", shown(word)));
    let pair = |word: &String| word.split_once('=').map(|(key, value)| (key.into(), value.into()));
    words.iter().map(|word| pair(word).ok_or_else(|| bad(word))).try_gather()
}

fn pair(word: &str) -> Result<(String, String)> {
    let (key, value) =
        word.split_once('=').ok_or_else(|| Error::invalid(format!("Invalid key=value configuration: {word}")))?;
    Ok((key.to_string(), value_of(value)?))
}

/// A value; `-` is what comes on standard input, if that is no terminal.
fn value_of(text: &str) -> Result<String> {
    match text {
        "-" => Ok(piped()?.unwrap_or_else(|| text.to_string())),
        _ => Ok(text.to_string()),
    }
}

/// Asks a yes-or-no question on the terminal; whatever is not `yes` is no.
pub fn confirmed(question: &str) -> Result<bool> {
    emit(question.as_bytes());
    let mut answer = String::new();
    std::io::stdin().lock().take(64).read_line(&mut answer).ctx(Kind::Invalid, || "Failed reading the answer")?;
    Ok(agrees(&answer))
}

fn agrees(answer: &str) -> bool {
    answer.strip_suffix('\n').unwrap_or(answer).eq_ignore_ascii_case("yes")
}

/// Asks for a word on the terminal; the end of the input is an error.
pub fn answer(question: &str) -> Result<String> {
    emit(question.as_bytes());
    let mut answer = String::new();
    let read =
        std::io::stdin().lock().take(4096).read_line(&mut answer).ctx(Kind::Invalid, || "Failed reading the answer")?;
    match read {
        0 => Err(Error::invalid("EOF")),
        _ => Ok(answer.trim().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["yes\n", "YES\n", "yes"].iter().all(|answer| agrees(answer)));
        assert!(!["y\n", " yes\n", "yes \n", "true\n", "\n", ""].iter().any(|answer| agrees(answer)));
    }
}
