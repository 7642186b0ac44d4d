//! What is wrong with a file, and where.

use std::borrow::Cow;
use std::fmt;

use libyaml_safer::Mark;

use crate::error::ShardError;

/// A place in the text, counted from 1 as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    line: u64,
    column: u64,
}

impl Position {
    /// The place of the byte at `offset` in `text`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() as u64 + 1,
            column: line.chars().count() as u64 + 1,
        }
    }
}

impl From<Mark> for Position {
    fn from(mark: Mark) -> Self {
        Self { line: mark.line + 1, column: mark.column + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a file is refused.
///
/// The reasons are nutcracker's, word for word, without its `conf: ` and without the name of the
/// file, which is the caller's to say. Where nutcracker has more to tell than it does, ours follows
/// behind a colon.
#[derive(Debug)]
pub(super) struct Complaint {
    at: Position,
    reason: Cow<'static, str>,
}

impl Complaint {
    pub(super) fn new(at: impl Into<Position>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { at: at.into(), reason: reason.into() }
    }

    /// No `From`: a second one for [`ShardError`] would leave callers' `?` without a type to infer.
    pub(super) fn into_error(self) -> ShardError {
        ShardError::configuration(format!("{}: {}", self.at, self.reason))
    }
}
