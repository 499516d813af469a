//! The values of expressions.

use std::collections::BTreeMap;

use super::expression::{Expression, Filter, Literal, Step};
use super::filters;
use super::lexer::wrong;
use super::value::Value;
use crate::error::{Error, Kind, Result};

/// Steps that one template may take; a loop over a config of a thousand keys takes some thousand. A kilobyte copied is
/// a step too.
const FUEL: u32 = 100_000;
/// Bytes that a value, or all the output, may have.
pub(super) const MAX_OUTPUT: usize = 16 << 20;

/// Names and what they stand for, innermost last, and how much may still be done.
pub(super) struct Scope {
    layers: Vec<BTreeMap<String, Value>>,
    fuel: u32,
    /// The line of the tag that is being worked on.
    pub line: usize,
}

impl Scope {
    pub(super) fn new(values: BTreeMap<String, Value>) -> Scope {
        Scope { layers: vec![values], fuel: FUEL, line: 1 }
    }

    pub(super) fn push(&mut self, layer: BTreeMap<String, Value>) {
        self.layers.push(layer);
    }

    pub(super) fn pop(&mut self) {
        self.layers.pop();
    }

    /// Sets a name in the innermost layer.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(name.to_owned(), value);
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.layers.iter().rev().find_map(|layer| layer.get(name))
    }

    /// The error for this place.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        wrong(self.line, what)
    }

    /// One more step.
    pub(super) fn step(&mut self) -> Result<()> {
        self.pay(0)
    }

    /// One more step that copied so many bytes.
    fn pay(&mut self, bytes: usize) -> Result<()> {
        let steps = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).saturating_add(1);
        self.fuel = self.fuel.checked_sub(steps).ok_or_else(|| self.wrong("it takes too many steps"))?;
        Ok(())
    }

    pub(super) fn evaluate(&mut self, expression: &Expression) -> Result<Value> {
        self.step()?;
        match expression {
            Expression::Literal(literal) => Ok(match literal {
                Literal::Text(text) => Value::text(text),
                Literal::Whole(number) => Value::Whole(*number),
                Literal::Float(number) => Value::Float(*number),
                Literal::Bool(set) => Value::Bool(*set),
            }),
            Expression::Variable(name, steps) => self.variable(name, steps),
            Expression::Filtered(inner, filter) => {
                let value = self.evaluate(inner)?;
                self.filter(value, filter)
            }
            Expression::Not(inner) => Ok(self.evaluate(inner)?.negated()),
            Expression::Negative(inner) => match self.evaluate(inner)? {
                Value::Whole(number) => Ok(Value::Whole(number.wrapping_neg())),
                Value::Float(number) => Ok(Value::Float(-number)),
                _ => Err(self.wrong("a negative sign before what is no number")),
            },
            Expression::Binary(operator, left, right) => self.binary(operator, left, right),
        }
    }

    /// Applies a filter to a value.
    pub(super) fn filter(&mut self, value: Value, filter: &Filter) -> Result<Value> {
        let argument = match &filter.argument {
            Some(argument) => self.evaluate(argument)?,
            None => Value::Nothing,
        };
        let result = filters::apply(&filter.name, &value, &argument).map_err(|error| match error.kind() {
            Kind::Invalid => self.wrong(error),
            _ => error,
        })?;
        let size = result.size();
        if size > MAX_OUTPUT {
            return Err(self.wrong("a text gets too long"));
        }
        self.pay(size)?;
        Ok(result)
    }

    fn variable(&mut self, name: &str, steps: &[Step]) -> Result<Value> {
        // Calls only come first (`config_get(…)`), what they return is a text: everything else is a walk by reference.
        let (value, rest) = match steps.split_first() {
            Some((Step::Call(arguments), rest)) => match self.get(name) {
                None => return Ok(Value::Nothing),
                Some(Value::ConfigGet) => (Some(self.config_get(arguments)?), rest),
                Some(_) => return Err(self.wrong(format!("'{name}' is not a function"))),
            },
            _ => (None, steps),
        };
        let mut at = match &value {
            Some(value) => value,
            None => self.get(name).unwrap_or(&Value::Nothing),
        };
        let mut byte = None;
        for step in rest {
            at = match (step, at) {
                _ if byte.is_some() => return Err(self.wrong(format!("'{name}' has no fields"))),
                (_, Value::Nothing) => return Ok(Value::Nothing),
                (Step::Key(key), Value::Map(_, entries)) => entries.get(key).unwrap_or(&Value::Nothing),
                (Step::Index(index), Value::Map(_, entries)) => {
                    entries.get(&index.to_string()).unwrap_or(&Value::Nothing)
                }
                (Step::Index(index), Value::List(items)) => index_of(items, *index).unwrap_or(&Value::Nothing),
                (Step::Index(index), Value::Text(text, _)) => {
                    // A byte of a text is a number, as in Go.
                    byte = index_of(text.as_bytes(), *index).copied();
                    if byte.is_some() { at } else { &Value::Nothing }
                }
                (Step::Call(_), _) => return Err(self.wrong(format!("'{name}' is not a function"))),
                _ => return Err(self.wrong(format!("'{name}' has no fields"))),
            };
        }
        if *at == Value::ConfigGet {
            return Err(self.wrong("'config_get' takes 2 arguments"));
        }
        let found = byte.map_or_else(|| at.clone(), |byte| Value::Whole(byte.into()));
        self.pay(found.size())?;
        Ok(found)
    }

    /// `config_get("key", "default")`: always two arguments.
    fn config_get(&mut self, arguments: &[Expression]) -> Result<Value> {
        let [key, default] = arguments else {
            return Err(self.wrong(format!("'config_get' takes 2 arguments, not {}", arguments.len())));
        };
        let key = self.evaluate(key)?.print();
        let default = self.evaluate(default)?;
        let Some(Value::Map(_, config)) = self.layers.first().and_then(|values| values.get("config")) else {
            return Ok(default);
        };
        Ok(match config.get(&key) {
            Some(value) => Value::text(value.print().trim_end_matches(['\r', '\n'])),
            None => default,
        })
    }

    fn binary(&mut self, operator: &str, left: &Expression, right: &Expression) -> Result<Value> {
        let left = self.evaluate(left)?;
        match operator {
            "and" => return Ok(Value::Bool(left.is_true() && self.evaluate(right)?.is_true())),
            "or" => return Ok(Value::Bool(left.is_true() || self.evaluate(right)?.is_true())),
            _ => {}
        }
        let right = self.evaluate(right)?;
        let floats = left.is_float() || right.is_float();
        let less = |a: &Value, b: &Value| if floats { a.float() < b.float() } else { a.whole() < b.whole() };
        Ok(match operator {
            "==" => Value::Bool(left.equals(&right)),
            "!=" => Value::Bool(!left.equals(&right)),
            "<" => Value::Bool(less(&left, &right)),
            ">" => Value::Bool(less(&right, &left)),
            "<=" => Value::Bool(!less(&right, &left)),
            ">=" => Value::Bool(!less(&left, &right)),
            "in" => Value::Bool(right.contains(&left)),
            "^" => Value::Float(left.float().powf(right.float())),
            _ if floats => Value::Float(match operator {
                "+" => left.float() + right.float(),
                "-" => left.float() - right.float(),
                "*" => left.float() * right.float(),
                "/" => left.float() / right.float(),
                _ => (left.whole() as f64) % (right.whole() as f64),
            }),
            _ => {
                let (a, b) = (left.whole(), right.whole());
                Value::Whole(match operator {
                    "+" => a.wrapping_add(b),
                    "-" => a.wrapping_sub(b),
                    "*" => a.wrapping_mul(b),
                    _ if b == 0 => return Err(self.wrong("division by zero")),
                    "/" => a.wrapping_div(b),
                    _ => a.wrapping_rem(b),
                })
            }
        })
    }
}

fn index_of<T>(items: &[T], index: i64) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| items.get(index))
}
