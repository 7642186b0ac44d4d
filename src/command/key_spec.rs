//! Where the keys of a command are.

use super::keys::Malformed;
use super::keys::integer;

/// Where keys stand among the arguments, in the terms of Redis's own key specifications
/// (`COMMAND INFO`, Redis 7.0): where to begin, and how to go on from there.
///
/// Argument 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub(super) begin: Begin,
    pub(super) find: Find,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At this argument.
    At(u8),
    /// Behind the first argument that is this word, in either case, searched from argument `from` on.
    After { word: &'static str, from: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Find {
    /// Every `step`-th argument up to `last`, which counts from where the keys begin if it is not
    /// negative, and from the end if it is (-1 is the last argument). Where it is -1 only one
    /// `limit`-th of the arguments are keys, unless `limit` is 0 or 1.
    Range { last: i8, step: u8, limit: u8 },
    /// As many keys as the argument at `count` says, from `first` on; both count from the beginning.
    Counted { count: u8, first: u8, step: u8 },
}

impl KeySpec {
    /// One key, at argument `index` (1 for most commands).
    ///
    /// # Panics
    ///
    /// If `index` is 0: that is the command's name.
    pub const fn at(index: u8) -> Self {
        Self::range(index, 0, 1)
    }

    /// Keys from argument `first` on, every `step`-th, up to `last`: relative to `first` if it is not
    /// negative, counted from the end if it is (-1 is the last argument).
    ///
    /// `DEL` is `range(1, -1, 1)`, `MSET` is `range(1, -1, 2)`, `BLPOP` is `range(1, -2, 1)`.
    ///
    /// # Panics
    ///
    /// If `first` is 0, which is the command's name, or `step` is 0.
    pub const fn range(first: u8, last: i8, step: u8) -> Self {
        assert!(first > 0, "argument 0 is the command's name and no key");
        let find = Find::Range { last, step: 1, limit: 0 };
        Self { begin: Begin::At(first), find }.every(step)
    }

    /// As many keys as argument `index` says, right behind it.
    ///
    /// `EVAL` is `counted(2)`, `LMPOP` is `counted(1)`; `MSETEX` is `counted(1).every(2)`.
    pub const fn counted(index: u8) -> Self {
        Self { begin: Begin::At(index), find: Find::Counted { count: 0, first: 1, step: 1 } }
    }

    /// One key behind the word `word`, which is searched from argument `from` on (`STORE key`).
    pub const fn after(word: &'static str, from: u8) -> Self {
        Self {
            begin: Begin::After { word, from },
            find: Find::Range { last: 0, step: 1, limit: 0 },
        }
    }

    /// The first half of the arguments behind the word `word` (`STREAMS key key id id`).
    pub const fn first_half_after(word: &'static str, from: u8) -> Self {
        Self {
            begin: Begin::After { word, from },
            find: Find::Range { last: -1, step: 1, limit: 2 },
        }
    }

    /// The same keys, but only each `step`-th argument is one.
    ///
    /// # Panics
    ///
    /// If `step` is 0.
    pub const fn every(mut self, step: u8) -> Self {
        assert!(step > 0, "keys are at least one argument apart");
        match &mut self.find {
            Find::Range { step: old, .. } | Find::Counted { step: old, .. } => *old = step,
        }
        self
    }

    /// Whether these are the keys from some argument on to the end, or to so many before it.
    pub(super) const fn is_open_range(self) -> bool {
        matches!((self.begin, self.find), (Begin::At(_), Find::Range { last: ..0, limit: 0, .. }))
    }

    /// The one argument this can be, if it can be only one.
    pub(super) fn only_place(self) -> Option<usize> {
        match (self.begin, self.find) {
            (Begin::At(place), Find::Range { last: 0, .. }) => Some(usize::from(place)),
            _ => None,
        }
    }

    /// Redis 7.0 `db.c` `getKeysUsingKeySpecs`.
    pub(super) fn find_in(self, args: &[&[u8]], places: &mut Vec<usize>) -> Result<(), Malformed> {
        let Some(begin) = self.begin.find_in(args) else {
            return Ok(());
        };
        let (first, last, step) = match self.find {
            Find::Range { last, step, .. } if last >= 0 => {
                (begin, begin + usize::from(last.unsigned_abs()), step)
            }
            Find::Range { last, step, limit } => {
                let end = if limit > 1 {
                    begin + args.len().saturating_sub(begin) / usize::from(limit)
                } else {
                    args.len()
                };
                let behind = usize::from(last.unsigned_abs());
                match end.checked_sub(behind) {
                    Some(last) if last >= begin => (begin, last, step),
                    _ => return Ok(()),
                }
            }
            Find::Counted { count, first, step } => {
                let count = args.get(begin + usize::from(count)).ok_or(Malformed)?;
                let count = integer(count).and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or(Malformed)?;
                if count > args.len() {
                    return Err(Malformed);
                }
                let first = begin + usize::from(first);
                let Some(steps) = count.checked_sub(1) else {
                    return Ok(());
                };
                (first, first + steps * usize::from(step), step)
            }
        };
        if last >= args.len() {
            return Err(Malformed);
        }
        places.extend((first..=last).step_by(usize::from(step)));
        Ok(())
    }
}

impl Begin {
    fn find_in(self, args: &[&[u8]]) -> Option<usize> {
        match self {
            Self::At(place) => Some(usize::from(place)),
            Self::After { word, from } => {
                let is_word = |place: &usize| args[*place].eq_ignore_ascii_case(word.as_bytes());
                let found = (usize::from(from)..args.len()).find(is_word);
                found.map(|place| place + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the command's name")]
    fn the_name_of_a_command_is_no_key() {
        KeySpec::at(0);
    }
}
