//! Tags of templates: from pieces to a tree of nodes.

use super::expression::{Cursor, Expression, Filter};
use super::lexer::{Piece, Token, wrong};
use crate::error::{Error, Result};

/// How deep tags may nest.
const DEPTH: usize = 50;

/// pongo2's tags that LXD's sandbox forbids.
const FORBIDDEN: &[&str] = &["include", "extends", "import", "ssi"];
/// pongo2's tags that nothing but web pages needs; refused by name.
const UNSUPPORTED: &[&str] = &["cycle", "ifchanged", "lorem", "macro", "now", "spaceless", "templatetag", "widthratio"];

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Output(Expression, usize),
    /// Conditions with their bodies; the last may have none.
    If(Vec<(Option<Expression>, Vec<Node>)>, usize),
    For(Box<Loop>),
    /// `set`: into the surrounding scope.
    Set(String, Expression, usize),
    /// `with`: names for the body.
    With(Vec<(String, Expression)>, Vec<Node>, usize),
    /// `autoescape on|off`
    Escape(bool, Vec<Node>),
    /// `filter`: over what the body prints.
    Filter(Vec<Filter>, Vec<Node>, usize),
    /// `firstof`: the first that is true.
    FirstOf(Vec<Expression>, usize),
    /// `block`: just its body.
    Body(Vec<Node>),
}

/// `for key, value in items`
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub key: String,
    pub value: Option<String>,
    pub items: Expression,
    pub reversed: bool,
    pub body: Vec<Node>,
    pub empty: Vec<Node>,
    pub line: usize,
}

/// Makes the tree of a whole template.
pub(super) fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>> {
    let mut parser = Parser { pieces: pieces.into_iter(), depth: 0, line: 1 };
    match parser.body(&[])? {
        (nodes, None) => Ok(nodes),
        // Only an asked-for tag ends a body.
        (_, Some(_)) => Err(wrong(parser.line, "an end without a start")),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
    line: usize,
}

/// The tag that ended a body.
struct End {
    name: String,
    tokens: Vec<Token>,
    line: usize,
}

impl Parser {
    /// Nodes up to one of the tags `ends`, or up to the end of the template when none is asked for.
    fn body(&mut self, ends: &[&str]) -> Result<(Vec<Node>, Option<End>)> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong(self.line, "tags are nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Output(tokens, line) => {
                    let mut cursor = Cursor::new(&tokens, line);
                    let expression = cursor.expression()?;
                    cursor.end()?;
                    nodes.push(Node::Output(expression, line));
                }
                Piece::Tag(tokens, line) => {
                    self.line = line;
                    let mut cursor = Cursor::new(&tokens, line);
                    let name = cursor.name()?;
                    if ends.contains(&name.as_str()) {
                        self.depth -= 1;
                        return Ok((nodes, Some(End { name, tokens: tokens[1..].to_vec(), line })));
                    }
                    nodes.extend(self.tag(&name, &mut cursor)?);
                    cursor.end()?;
                }
            }
        }
        self.depth -= 1;
        match ends.first() {
            None => Ok((nodes, None)),
            Some(end) => Err(wrong(self.line, format!("tag '{end}' is missing"))),
        }
    }

    /// A body that one tag ends.
    fn until(&mut self, end: &str) -> Result<Vec<Node>> {
        Ok(self.body(&[end])?.0)
    }

    fn tag(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<Option<Node>> {
        let line = cursor.line;
        Ok(Some(match name {
            "if" => self.if_tag(cursor)?,
            "ifequal" | "ifnotequal" => self.ifequal(name, cursor)?,
            "for" => self.for_tag(cursor)?,
            "set" => {
                let name = cursor.name()?;
                if !cursor.symbol("=") {
                    return Err(wrong(line, "'=' is missing"));
                }
                Node::Set(name, cursor.expression()?, line)
            }
            "with" => Node::With(with_names(cursor)?, self.until("endwith")?, line),
            "autoescape" => {
                let on = cursor.name()?;
                if on != "on" && on != "off" {
                    return Err(wrong(line, "'on' or 'off' is missing"));
                }
                Node::Escape(on == "on", self.until("endautoescape")?)
            }
            "filter" => {
                let mut filters = vec![cursor.filter()?];
                while cursor.symbol("|") {
                    filters.push(cursor.filter()?);
                }
                Node::Filter(filters, self.until("endfilter")?, line)
            }
            "firstof" => {
                let mut choices = Vec::new();
                while cursor.peek().is_some() {
                    choices.push(cursor.expression()?);
                }
                Node::FirstOf(choices, line)
            }
            "block" => {
                cursor.name()?;
                Node::Body(self.until("endblock")?)
            }
            "comment" => {
                self.until("endcomment")?;
                return Ok(None);
            }
            _ if FORBIDDEN.contains(&name) => return Err(wrong(line, format!("tag '{name}' is not allowed"))),
            _ if UNSUPPORTED.contains(&name) => return Err(Error::unsupported(format!("Template tag '{name}'"))),
            _ => return Err(wrong(line, format!("tag '{name}' not found"))),
        }))
    }

    fn if_tag(&mut self, cursor: &mut Cursor<'_>) -> Result<Node> {
        let line = cursor.line;
        let mut branches = Vec::new();
        let mut condition = Some(cursor.expression()?);
        loop {
            let (body, end) = self.body(&["endif", "elif", "else"])?;
            branches.push((condition, body));
            let Some(end) = end else { return Err(wrong(line, "tag 'endif' is missing")) };
            let mut cursor = Cursor::new(&end.tokens, end.line);
            condition = if end.name == "elif" { Some(cursor.expression()?) } else { None };
            cursor.end()?;
            if end.name == "endif" {
                return Ok(Node::If(branches, line));
            }
        }
    }

    /// The old `ifequal a b`.
    fn ifequal(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<Node> {
        let line = cursor.line;
        let (left, right) = (cursor.expression()?, cursor.expression()?);
        let operator = if name == "ifequal" { "==" } else { "!=" };
        let condition = Expression::Binary(operator, left.into(), right.into());
        let close = format!("end{name}");
        let (body, end) = self.body(&[&close, "else"])?;
        let mut branches = vec![(Some(condition), body)];
        if end.is_some_and(|end| end.name == "else") {
            branches.push((None, self.until(&close)?));
        }
        Ok(Node::If(branches, line))
    }

    fn for_tag(&mut self, cursor: &mut Cursor<'_>) -> Result<Node> {
        let line = cursor.line;
        let key = cursor.name()?;
        let value = if cursor.symbol(",") { Some(cursor.name()?) } else { None };
        if !cursor.word("in") {
            return Err(wrong(line, "'in' is missing"));
        }
        let items = cursor.expression()?;
        let reversed = cursor.word("reversed");
        // Maps are always walked in the order of their keys.
        cursor.word("sorted");
        let (body, end) = self.body(&["endfor", "empty"])?;
        let empty = if end.is_some_and(|end| end.name == "empty") { self.until("endfor")? } else { Vec::new() };
        Ok(Node::For(Box::new(Loop { key, value, items, reversed, body, empty, line })))
    }
}

/// `with a=1 b=2`, or the older `with 1 as a`.
fn with_names(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Expression)>> {
    let line = cursor.line;
    let first = cursor.expression()?;
    if cursor.word("as") {
        return Ok(vec![(cursor.name()?, first)]);
    }
    let mut names = Vec::new();
    let mut name = match first {
        Expression::Variable(name, steps) if steps.is_empty() => name,
        _ => return Err(wrong(line, "a name is missing")),
    };
    loop {
        if !cursor.symbol("=") {
            return Err(wrong(line, "'=' is missing"));
        }
        names.push((name, cursor.expression()?));
        if cursor.peek().is_none() {
            return Ok(names);
        }
        name = cursor.name()?;
    }
}
