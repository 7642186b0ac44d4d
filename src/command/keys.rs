//! The keys of one invocation.

use super::key_spec::Begin;
use super::key_spec::Find;
use super::key_spec::KeySpec;
use super::options;
use super::rule::CommandRule;
use super::rule::Finder;

/// The arguments are not what the command wants: a count that is no number, or too few of them. The
/// server will refuse them in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The places of the keys among the arguments of one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Places of keys, in the order of the key specifications.
    pub(crate) places: Vec<usize>,
    /// Places of patterns that stand for keys (`SORT … BY weight_*`).
    pub(crate) patterns: Vec<usize>,
}

/// Keys that are split by node: `count` units of `step` arguments from `first` on, each beginning with
/// its key; what is before and behind goes to every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) count: usize,
}

impl CommandRule {
    /// The keys of the invocation `args`, whose first element is the command's name.
    pub(crate) fn keys_of(&self, args: &[&[u8]]) -> Result<Keys, Malformed> {
        let mut keys = Keys::default();
        match self.finder {
            Finder::Specs => {
                for spec in self.key_specs() {
                    spec.find_in(args, &mut keys.places)?;
                }
            }
            Finder::Sort => options::sort(args, &mut keys)?,
            Finder::GeoRadius { options } => {
                options::geo_radius(args, options, &mut keys.places)?;
            }
            Finder::Streams => options::streams(args, &mut keys.places)?,
            Finder::Migrate => options::migrate(args, &mut keys.places)?,
        }
        Ok(keys)
    }

    /// The units of the invocation `args` of a command that is split by key.
    pub(crate) fn units_of(&self, args: &[&[u8]]) -> Result<Units, Malformed> {
        let Some(KeySpec { begin: Begin::At(first), find: Find::Range { last, step, .. } }) =
            self.keys[0]
        else {
            return Err(Malformed);
        };
        let (first, step) = (usize::from(first), usize::from(step));
        let behind = usize::from((last + 1).unsigned_abs());
        let end = args.len().checked_sub(behind).ok_or(Malformed)?;
        let length = end.checked_sub(first).ok_or(Malformed)?;
        if length == 0 || length % step != 0 {
            return Err(Malformed);
        }
        Ok(Units { first, step, count: length / step })
    }
}

/// A number as Redis reads it (`util.c` `string2ll`): no sign but a minus, no leading zero, no space.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // Rust also reads "+1", "01" and "-0".
    (number.to_string().as_bytes() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Gather;

    fn places(rule: CommandRule, line: &str) -> Result<Vec<usize>, Malformed> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        rule.keys_of(&args).map(|keys| keys.places)
    }

    #[test]
    fn ranges_end_where_they_say() {
        let blpop = CommandRule::keys(KeySpec::range(1, -2, 1));
        assert_eq!(places(blpop, "BLPOP a b 0"), Ok(vec![1, 2]));
        assert_eq!(places(blpop, "BLPOP a"), Ok(vec![]));
        let mset = CommandRule::keys(KeySpec::range(1, -1, 2));
        assert_eq!(places(mset, "MSET a 1 b 2"), Ok(vec![1, 3]));
        let smove = CommandRule::keys(KeySpec::range(1, 1, 1));
        assert_eq!(places(smove, "SMOVE a b member"), Ok(vec![1, 2]));
        assert_eq!(places(smove, "SMOVE a"), Err(Malformed));
    }

    #[test]
    fn counts_are_read_as_redis_reads_them() {
        let eval = CommandRule::keys(KeySpec::counted(2));
        assert_eq!(places(eval, "EVAL script 2 a b c"), Ok(vec![3, 4]));
        assert_eq!(places(eval, "EVAL script 0 a"), Ok(vec![]));
        for line in [
            "EVAL script",
            "EVAL script 3 a b",
            "EVAL script -1",
            "EVAL script +1 a",
            "EVAL script 01 a",
            "EVAL script 99999999999999999999 a",
        ] {
            assert_eq!(places(eval, line), Err(Malformed), "{line}");
        }
        let store = CommandRule::key(1).and_keys(KeySpec::counted(2));
        assert_eq!(places(store, "ZUNIONSTORE d 2 a b WEIGHTS 1 2"), Ok(vec![1, 3, 4]));
    }

    #[test]
    fn counted_keys_may_have_values() {
        let msetex = CommandRule::keys(KeySpec::counted(1).every(2));
        assert_eq!(places(msetex, "MSETEX 2 a 1 b 2 NX"), Ok(vec![2, 4]));
        assert_eq!(places(msetex, "MSETEX 1 a 1 b 2"), Ok(vec![2]));
        assert_eq!(places(msetex, "MSETEX 3 a 1 b 2"), Err(Malformed));
    }

    #[test]
    fn words_are_searched_in_either_case() {
        let read = CommandRule::keys(KeySpec::first_half_after("STREAMS", 1));
        assert_eq!(places(read, "X COUNT 2 streams a b 0 0"), Ok(vec![4, 5]));
        assert_eq!(places(read, "X COUNT 2"), Ok(vec![]));
        let store = CommandRule::key(1).and_keys(KeySpec::after("STORE", 2));
        assert_eq!(places(store, "X k"), Ok(vec![1]));
        assert_eq!(places(store, "X k SORTED STORE d"), Ok(vec![1, 4]));
        assert_eq!(places(store, "X k STORE"), Err(Malformed));
    }

    #[test]
    fn units_are_whole() {
        let mset = CommandRule::keys(KeySpec::range(1, -1, 2)).split(Gather::First);
        let units = |rule: CommandRule, line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            rule.units_of(&args)
        };
        assert_eq!(units(mset, "MSET a 1 b 2"), Ok(Units { first: 1, step: 2, count: 2 }));
        assert_eq!(units(mset, "MSET a 1 b"), Err(Malformed));
        assert_eq!(units(mset, "MSET"), Err(Malformed));
        let json = CommandRule::keys(KeySpec::range(1, -2, 1)).split(Gather::InKeyOrder);
        assert_eq!(units(json, "JSON.MGET a b $"), Ok(Units { first: 1, step: 1, count: 2 }));
        assert_eq!(units(json, "JSON.MGET $"), Err(Malformed));
    }
}
