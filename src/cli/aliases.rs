//! The user's aliases, replaced before anything else is understood.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Aliases that are always there.
const BUILT_IN: &[(&str, &str)] =
    &[("shell", "exec @ARGS@ -- su -l"), ("cp", "copy"), ("ls", "list"), ("mv", "move"), ("rm", "delete")];

/// Replaces an alias at the start of a command line, or behind the flags that stand there.
pub fn expand(args: &[String], own: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let (flags, args) = args.split_at(args.iter().take_while(|word| word.starts_with('-') && *word != "--").count());
    Ok([flags, &replaced(args, own)?].concat())
}

fn replaced(args: &[String], own: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let found = longest(args, own.iter().map(|(name, target)| (name.as_str(), target.as_str())))
        .or_else(|| longest(args, BUILT_IN.iter().copied()));
    let Some((target, used)) = found else { return Ok(args.to_vec()) };
    fill(&words(target)?, &args[used..])
}

/// The target of the alias with the most words that the line begins with, and how many words that are.
fn longest<'a>(args: &[String], aliases: impl Iterator<Item = (&'a str, &'a str)>) -> Option<(&'a str, usize)> {
    let matching = aliases.filter_map(|(name, target)| {
        let words: Vec<&str> = name.split_whitespace().collect();
        let fits = args.len() >= words.len() && !words.is_empty() && words.iter().zip(args).all(|(w, a)| w == a);
        fits.then_some((target, words.len()))
    });
    matching.max_by_key(|(_, words)| *words)
}

/// Puts the remaining words where the alias wants them: `@ARGS@` is all, `@ARG1@` one, otherwise they come last.
fn fill(target: &[String], rest: &[String]) -> Result<Vec<String>> {
    let mut used = vec![false; rest.len()];
    let mut out = Vec::new();
    let mut all = false;
    for word in target {
        if word == "@ARGS@" {
            out.extend(rest.iter().zip(&used).filter(|(_, used)| !**used).map(|(word, _)| word.clone()));
            all = true;
            continue;
        }
        let mut word = word.clone();
        while let Some((before, after)) = word.split_once("@ARG") {
            let Some((number, tail)) = after.split_once('@') else { break };
            let Ok(number) = number.parse::<usize>() else { break };
            let at = number.checked_sub(1).filter(|at| *at < rest.len());
            let at =
                at.ok_or_else(|| Error::invalid(format!("Found alias references @ARG{number}@ but it is missing")))?;
            used[at] = true;
            word = format!("{before}{}{tail}", rest[at]);
        }
        out.push(word);
    }
    if !all {
        out.extend(rest.iter().zip(&used).filter(|(_, used)| !**used).map(|(word, _)| word.clone()));
    }
    Ok(out)
}

/// Splits a text into words as a shell does, with quotes and backslashes.
pub fn words(text: &str) -> Result<Vec<String>> {
    let (mut out, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    match quote {
        Some(_) => Err(Error::invalid(format!("Unfinished quote in the alias {text:?}"))),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn aliases_take_words_where_they_say() {
        let own = BTreeMap::from([
            ("my list".to_string(), "list -c 'n s'".to_string()),
            ("swap".to_string(), "copy @ARG2@ @ARG1@".to_string()),
        ]);
        assert_eq!(expand(&line("shell c1 -T"), &own).unwrap(), line("exec c1 -T -- su -l"));
        assert_eq!(expand(&line("my list c1"), &own).unwrap(), ["list", "-c", "n s", "c1"]);
        assert_eq!(expand(&line("swap a b c"), &own).unwrap(), line("copy b a c"));
        assert!(expand(&line("swap a"), &own).is_err());
        assert_eq!(expand(&line("list ls"), &own).unwrap(), line("list ls"));
        assert_eq!(expand(&line("-q --project=p swap a b"), &own).unwrap(), line("-q --project=p copy b a"));
        assert_eq!(expand(&line("--project p my list"), &own).unwrap(), line("--project p my list"));
        assert_eq!(expand(&line("--debug"), &own).unwrap(), line("--debug"));
    }
}
