//! Undo: what was done is undone in reverse when a later step fails, also after a panic.

use crate::{Error, Result};

type Undo = Box<dyn FnOnce() -> Result<()> + Send>;

/// Undo steps, run in reverse by [`Rollback::run`] or when dropped without [`Rollback::keep`].
///
/// Steps are idempotent and blocking: run this on a thread where blocking is allowed.
#[derive(Default)]
pub struct Rollback {
    steps: Vec<(&'static str, Undo)>,
}

impl Rollback {
    /// Remembers how to undo what was just done.
    pub fn add(&mut self, what: &'static str, undo: impl FnOnce() -> Result<()> + Send + 'static) {
        self.steps.push((what, Box::new(undo)));
    }

    /// Everything worked: nothing is undone.
    pub fn keep(mut self) {
        self.steps.clear();
    }

    /// Undoes all and returns the first error with what could not be undone appended.
    pub fn run(mut self, first: Error) -> Error {
        let failed = self.undo();
        if failed.is_empty() {
            return first;
        }
        Error::new(first.kind(), format!("{first} (and undoing failed: {})", failed.join("; ")))
    }

    fn undo(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        while let Some((what, undo)) = self.steps.pop() {
            if let Err(e) = undo() {
                tracing::warn!("Failed undoing {what}: {}", e.chain());
                failed.push(e.to_string());
            }
        }
        failed
    }
}

impl Drop for Rollback {
    fn drop(&mut self) {
        self.undo();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn steps_are_undone_in_reverse_also_when_dropped() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let push = |n: u8| {
            let seen = seen.clone();
            move || {
                seen.lock().unwrap().push(n);
                if n == 1 { Err(Error::internal("Failed undoing one")) } else { Ok(()) }
            }
        };
        let mut rollback = Rollback::default();
        rollback.add("one", push(1));
        rollback.add("two", push(2));
        let error = rollback.run(Error::invalid("Failed"));
        assert_eq!(*seen.lock().unwrap(), [2, 1]);
        assert!(error.to_string().contains("Failed undoing one"));

        let mut dropped = Rollback::default();
        dropped.add("three", push(3));
        drop(dropped);
        let mut kept = Rollback::default();
        kept.add("four", push(4));
        kept.keep();
        assert_eq!(*seen.lock().unwrap(), [2, 1, 3]);
    }
}
