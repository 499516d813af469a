//! Lists as table, compact table, CSV, JSON or YAML.

use std::fmt::Write;

use serde_json::Value;

use super::{emit, json_compact, yaml};
use crate::error::{Error, Result};

/// A list to print: column heads, cells, and the objects themselves for JSON and YAML.
pub struct Rows<'a> {
    /// Heads of the columns.
    pub head: Vec<String>,
    /// Cells; they may have several lines.
    pub cells: Vec<Vec<String>>,
    /// The objects.
    pub raw: &'a dyn Fn() -> Value,
}

/// Prints a list in one of the formats of `--format`.
pub fn render(format: &str, rows: &Rows) -> Result<()> {
    let text = match format {
        "table" => boxed(&rows.head, &rows.cells),
        "compact" => compact(&rows.head, &rows.cells),
        "csv" => csv(&rows.cells),
        "json" => json_compact(&(rows.raw)()) + "\n",
        "yaml" => yaml(&(rows.raw)()),
        _ => return Err(Error::invalid(format!("Invalid format {format:?}"))),
    };
    emit(text.as_bytes());
    Ok(())
}

/// Terminal cells a text takes: wide East Asian characters two, marks that combine none.
fn width(text: &str) -> usize {
    let of = |c: char| match c as u32 {
        0x300..=0x36F | 0x200B..=0x200F | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1F64F | 0x1F900..=0x1F9FF | 0x20000..=0x3FFFD => 2,
        c if c < 32 || c == 127 => 0,
        _ => 1,
    };
    text.chars().map(of).sum()
}

fn widths(head: &[String], cells: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|h| width(h)).collect();
    for row in cells {
        for (at, cell) in row.iter().enumerate().filter(|(at, _)| *at < head.len()) {
            widths[at] = cell.lines().map(width).max().unwrap_or(0).max(widths[at]);
        }
    }
    widths
}

fn left(text: &str, to: usize) -> String {
    format!(" {text}{} ", " ".repeat(to.saturating_sub(width(text))))
}

fn centred(text: &str, to: usize) -> String {
    let gap = to.saturating_sub(width(text));
    format!(" {}{text}{} ", " ".repeat(gap / 2), " ".repeat(gap - gap / 2))
}

/// The lines of a row: as many as its highest cell has.
fn lines(row: &[String], widths: &[usize]) -> Vec<Vec<String>> {
    let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
    let line = |n: usize| row.iter().zip(widths).map(|(cell, w)| left(cell.lines().nth(n).unwrap_or(""), *w)).collect();
    (0..height).map(line).collect()
}

/// The head of a column as the table shows it: upper case, with spaces for underscores and for dots that are not in
/// a number.
fn title(head: &str) -> String {
    let chars: Vec<char> = head.chars().collect();
    let number = |at: Option<&char>| at.is_some_and(|c| c.is_ascii_digit() || *c == ' ');
    let shown = chars.iter().enumerate().map(|(at, c)| match c {
        '_' => ' ',
        '.' if (at > 0 && !number(chars.get(at - 1))) || (at + 1 < chars.len() && !number(chars.get(at + 1))) => ' ',
        c => *c,
    });
    shown.collect::<String>().trim().to_uppercase()
}

fn boxed(head: &[String], cells: &[Vec<String>]) -> String {
    ruled(&head.iter().map(|h| title(h)).collect::<Vec<_>>(), cells, true)
}

/// A table whose heads are as they are given, with a rule behind the last row alone.
pub fn plain(head: &[String], cells: &[Vec<String>]) -> String {
    ruled(head, cells, false)
}

fn ruled(head: &[String], cells: &[Vec<String>], each: bool) -> String {
    let widths = widths(head, cells);
    let rule = widths.iter().fold(String::from("+"), |rule, w| rule + &"-".repeat(w + 2) + "+") + "\n";
    let heads: Vec<String> = head.iter().zip(&widths).map(|(h, w)| centred(h, *w)).collect();
    let mut out = format!("{rule}|{}|\n{rule}", heads.join("|"));
    for row in cells {
        for line in lines(row, &widths) {
            _ = writeln!(out, "|{}|", line.join("|"));
        }
        if each {
            out.push_str(&rule);
        }
    }
    if !each {
        out.push_str(&rule);
    }
    out
}

fn compact(head: &[String], cells: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|h| title(h)).collect();
    let widths = widths(&head, cells);
    let heads: String = head.iter().zip(&widths).map(|(h, w)| centred(h, *w)).collect();
    let mut out = format!(" {heads} \n");
    for row in cells {
        for line in lines(row, &widths) {
            _ = writeln!(out, " {} ", line.concat());
        }
    }
    out
}

/// CSV as Go's `encoding/csv` writes it.
fn csv(cells: &[Vec<String>]) -> String {
    let field = |text: &String| {
        let special = |c: char| matches!(c, ',' | '"' | '\r' | '\n');
        match text == "\\." || text.contains(special) || text.starts_with(char::is_whitespace) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.clone(),
        }
    };
    cells.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|c| c.to_string()).collect()
    }

    #[test]
    fn tables_have_a_rule_after_each_row_and_centred_heads() {
        let text = boxed(&row(&["name", "user.x"]), &[row(&["container", "a\nb"])]);
        let rule = "+-----------+--------+\n";
        let body = "|   NAME    | USER X |\n";
        assert_eq!(text, format!("{rule}{body}{rule}| container | a      |\n|           | b      |\n{rule}"));
        let under = "+---+\n| x |\n+---+\n| a |\n| b |\n+---+\n";
        assert_eq!(plain(&row(&["x"]), &[row(&["a"]), row(&["b"])]), under);
        assert_eq!(compact(&row(&["NAME", "B"]), &[row(&["c1", ""])]), "  NAME  B  \n  c1       \n");
    }

    #[test]
    fn csv_quotes_as_go_does() {
        assert_eq!(
            csv(&[row(&["a,b", "x\ny", "say \"hi\"", "", " s", "t "])]),
            "\"a,b\",\"x\ny\",\"say \"\"hi\"\"\",,\" s\",t \n"
        );
    }
}
