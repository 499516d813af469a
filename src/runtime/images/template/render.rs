//! Prints a tree of nodes.

use std::collections::BTreeMap;

use super::evaluate::{MAX_OUTPUT, Scope};
use super::expression::{Expression, Filter};
use super::parser::{Loop, Node};
use super::value::Value;
use crate::error::Result;
use crate::order::Gather;

/// Prints a template with these values.
pub(super) fn nodes(nodes: &[Node], values: BTreeMap<String, Value>) -> Result<String> {
    let mut printer = Printer { scope: Scope::new(values), out: String::new(), escape: false };
    printer.nodes(nodes)?;
    Ok(printer.out)
}

struct Printer {
    scope: Scope,
    out: String,
    escape: bool,
}

impl Printer {
    fn nodes(&mut self, nodes: &[Node]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn print(&mut self, text: &str) -> Result<()> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err(self.scope.wrong("it prints too much"));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// Runs `body` with names of its own.
    fn inside(&mut self, names: BTreeMap<String, Value>, body: &[Node]) -> Result<()> {
        self.scope.push(names);
        let done = self.nodes(body);
        self.scope.pop();
        done
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        self.scope.step()?;
        match node {
            Node::Text(text) => self.print(text),
            Node::Output(expression, line) => {
                self.scope.line = *line;
                let value = self.scope.evaluate(expression)?;
                let text = if self.escape { value.escaped().print() } else { value.print() };
                self.print(&text)
            }
            Node::If(branches, line) => self.first_that_holds(branches, *line),
            Node::For(each) => self.each(each),
            Node::Set(name, expression, line) => {
                self.scope.line = *line;
                let value = self.scope.evaluate(expression)?;
                self.scope.set(name, value);
                Ok(())
            }
            Node::With(names, body, line) => {
                self.scope.line = *line;
                let mut layer = BTreeMap::new();
                for (name, expression) in names {
                    layer.insert(name.clone(), self.scope.evaluate(expression)?);
                }
                self.inside(layer, body)
            }
            Node::Escape(on, body) => {
                let before = std::mem::replace(&mut self.escape, *on);
                let done = self.nodes(body);
                self.escape = before;
                done
            }
            Node::Filter(filters, body, line) => self.filtered(filters, body, *line),
            Node::FirstOf(choices, line) => {
                self.scope.line = *line;
                for choice in choices {
                    let value = self.scope.evaluate(choice)?;
                    if value.is_true() {
                        return self.print(&value.print());
                    }
                }
                Ok(())
            }
            Node::Body(body) => self.nodes(body),
        }
    }

    fn first_that_holds(&mut self, branches: &[(Option<Expression>, Vec<Node>)], line: usize) -> Result<()> {
        for (condition, body) in branches {
            self.scope.line = line;
            let holds = match condition {
                Some(condition) => self.scope.evaluate(condition)?.is_true(),
                None => true,
            };
            if holds {
                // No scope of its own: what is set here stays set.
                return self.nodes(body);
            }
        }
        Ok(())
    }

    fn filtered(&mut self, filters: &[Filter], body: &[Node], line: usize) -> Result<()> {
        let before = std::mem::take(&mut self.out);
        let done = self.inside(BTreeMap::new(), body);
        let mut value = Value::text(std::mem::replace(&mut self.out, before));
        done?;
        self.scope.line = line;
        for filter in filters {
            value = self.scope.filter(value, filter)?;
        }
        self.print(&value.print())
    }

    fn each(&mut self, each: &Loop) -> Result<()> {
        self.scope.line = each.line;
        let mut items = self.scope.evaluate(&each.items)?.items();
        if items.is_empty() {
            return self.inside(BTreeMap::new(), &each.empty);
        }
        if each.reversed {
            items.reverse();
        }
        let count = items.len();
        for (at, (key, value)) in items.into_iter().enumerate() {
            let mut names = BTreeMap::from([(each.key.clone(), key), ("forloop".to_owned(), position(at, count))]);
            if let Some(name) = &each.value {
                names.insert(name.clone(), value);
            }
            self.inside(names, &each.body)?;
        }
        Ok(())
    }
}

/// `forloop`: its fields begin with capitals, since they are a Go structure's.
fn position(at: usize, count: usize) -> Value {
    let number = |n: usize| Value::Whole(n as i64);
    let fields = [
        ("Counter", number(at + 1)),
        ("Counter0", number(at)),
        ("Revcounter", number(count - at)),
        ("Revcounter0", number(count - at - 1)),
        ("First", Value::Bool(at == 0)),
        ("Last", Value::Bool(at + 1 == count)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).gather();
    Value::Map("pongo2.tagForLoopInformation", fields)
}
