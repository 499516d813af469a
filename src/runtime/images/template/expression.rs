//! Expressions of templates: pongo2's grammar, with its flat precedence of `and` and `or`.
//!
//! ```text
//! expression = relation [("and" | "or" | "&&" | "||") expression]
//! relation   = sum [("==" | "!=" | "<>" | "<" | ">" | "<=" | ">=" | "in") relation]
//! sum        = ["+" | "-"] ["not" | "!"] product {("+" | "-") product}
//! product    = power {("*" | "/" | "%") power}
//! power      = factor ["^" power]
//! factor     = "(" expression ")" | (literal | name {"." key | "(" … ")"}) {"|" filter [":" literal]}
//! ```

use super::lexer::{Token, wrong};
use crate::error::Result;

/// How deep expressions may nest.
const DEPTH: usize = 100;
/// Operators and filters of one tag: they nest too, to the left.
const OPERATORS: usize = 200;

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Literal(Literal),
    /// A name and its steps: `.key`, `.0`, `(arguments)`.
    Variable(String, Vec<Step>),
    Filtered(Box<Expression>, Filter),
    Negative(Box<Expression>),
    Not(Box<Expression>),
    Binary(&'static str, Box<Expression>, Box<Expression>),
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Text(String),
    Whole(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    Index(i64),
    Call(Vec<Expression>),
}

#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub name: String,
    pub argument: Option<Box<Expression>>,
}

/// The tokens of one tag being read.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    operators: usize,
    pub line: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token], line: usize) -> Cursor<'a> {
        Cursor { tokens, at: 0, depth: 0, operators: 0, line }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    /// Takes the symbol if it comes next.
    pub(super) fn symbol(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(symbol)) if *symbol == wanted);
        self.at += usize::from(found);
        found
    }

    /// Takes the word if it comes next.
    pub(super) fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == wanted);
        self.at += usize::from(found);
        found
    }

    /// Takes a name, which must come next.
    pub(super) fn name(&mut self) -> Result<String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name.clone()),
            _ => Err(wrong(self.line, "a name is missing")),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(wrong(self.line, format!("unexpected {}", shown(token)))),
        }
    }

    /// One more operator or filter.
    fn count(&mut self) -> Result<()> {
        self.operators += 1;
        if self.operators > OPERATORS { Err(wrong(self.line, "an expression is too long")) } else { Ok(()) }
    }

    fn one_of(&mut self, symbols: &[&'static str]) -> Option<&'static str> {
        symbols.iter().find(|symbol| self.symbol(symbol)).copied()
    }

    pub(super) fn expression(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong(self.line, "an expression is nested too deeply"));
        }
        let left = self.relation()?;
        let operator = if self.symbol("&&") || self.word("and") {
            Some("and")
        } else if self.symbol("||") || self.word("or") {
            Some("or")
        } else {
            None
        };
        let whole = match operator {
            Some(operator) => Expression::Binary(operator, left.into(), self.expression()?.into()),
            None => left,
        };
        self.depth -= 1;
        Ok(whole)
    }

    fn relation(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong(self.line, "an expression is nested too deeply"));
        }
        let left = self.sum()?;
        let operator = match self.one_of(&["==", "<=", ">=", "!=", "<>", ">", "<"]) {
            Some("<>") => Some("!="),
            None if self.word("in") => Some("in"),
            other => other,
        };
        let whole = match operator {
            Some(operator) => Expression::Binary(operator, left.into(), self.relation()?.into()),
            None => left,
        };
        self.depth -= 1;
        Ok(whole)
    }

    fn sum(&mut self) -> Result<Expression> {
        let negative = self.one_of(&["+", "-"]) == Some("-");
        let not = self.symbol("!") || self.word("not");
        let mut whole = self.product()?;
        if not {
            whole = Expression::Not(whole.into());
        }
        if negative {
            whole = Expression::Negative(whole.into());
        }
        while let Some(operator) = self.one_of(&["+", "-"]) {
            self.count()?;
            whole = Expression::Binary(operator, whole.into(), self.product()?.into());
        }
        Ok(whole)
    }

    fn product(&mut self) -> Result<Expression> {
        let mut whole = self.power()?;
        while let Some(operator) = self.one_of(&["*", "/", "%"]) {
            self.count()?;
            whole = Expression::Binary(operator, whole.into(), self.power()?.into());
        }
        Ok(whole)
    }

    fn power(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(wrong(self.line, "an expression is nested too deeply"));
        }
        let base = self.factor()?;
        let whole = match self.symbol("^") {
            true => Expression::Binary("^", base.into(), self.power()?.into()),
            false => base,
        };
        self.depth -= 1;
        Ok(whole)
    }

    fn factor(&mut self) -> Result<Expression> {
        if self.symbol("(") {
            let inner = self.expression()?;
            return if self.symbol(")") { Ok(inner) } else { Err(wrong(self.line, "')' is missing")) };
        }
        let mut whole = self.variable()?;
        while self.symbol("|") {
            self.count()?;
            let filter = self.filter()?;
            whole = Expression::Filtered(whole.into(), filter);
        }
        Ok(whole)
    }

    /// A filter's name and argument, behind its `|`.
    pub(super) fn filter(&mut self) -> Result<Filter> {
        let name = self.name()?;
        let argument = if self.symbol(":") { Some(Box::new(self.variable()?)) } else { None };
        Ok(Filter { name, argument })
    }

    /// A literal, or a name with its steps.
    fn variable(&mut self) -> Result<Expression> {
        let token = self.next().ok_or_else(|| wrong(self.line, "a number, a text or a name is missing"))?;
        Ok(match token {
            Token::Text(text) => Expression::Literal(Literal::Text(text.clone())),
            Token::Whole(number) => Expression::Literal(Literal::Whole(*number)),
            Token::Float(number) => Expression::Literal(Literal::Float(*number)),
            Token::Name(name) if name == "true" || name == "false" => {
                Expression::Literal(Literal::Bool(name == "true"))
            }
            Token::Name(name) => Expression::Variable(name.clone(), self.steps()?),
            Token::Symbol(_) => return Err(wrong(self.line, format!("unexpected {}", shown(token)))),
        })
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.symbol(".") {
                steps.push(match self.next() {
                    Some(Token::Name(key)) => Step::Key(key.clone()),
                    Some(Token::Whole(index)) => Step::Index(*index),
                    _ => return Err(wrong(self.line, "a name is missing behind '.'")),
                });
            } else if self.symbol("(") {
                steps.push(Step::Call(self.arguments()?));
            } else {
                return Ok(steps);
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expression>> {
        let mut arguments = Vec::new();
        if self.symbol(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.symbol(")") {
                return Ok(arguments);
            }
            if !self.symbol(",") {
                return Err(wrong(self.line, "')' is missing"));
            }
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("'{name}'"),
        Token::Text(text) => format!("text '{text}'"),
        Token::Whole(number) => format!("'{number}'"),
        Token::Float(number) => format!("'{number}'"),
        Token::Symbol(symbol) => format!("'{symbol}'"),
    }
}
