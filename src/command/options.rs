//! Keys among options, for the commands whose key specifications can be fooled: an option's argument
//! may look like an option, and options may be repeated.
//!
//! Each function reads the arguments as the command itself does, so that a group called `STREAMS` or a
//! key called `STORE` sends nothing to the wrong node.

use super::keys::Keys;
use super::keys::Malformed;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE key]` (Redis
/// 7.0 `db.c` `sortGetKeys`).
///
/// A pattern behind `BY` or `GET` that has a `*` reads a key for each element. One without reads none:
/// `BY` then leaves the elements unsorted, `GET` answers nil, and `GET #` the element itself (Redis 7.0
/// `sort.c` `lookupKeyByPattern`).
pub(super) fn sort(args: &[&[u8]], keys: &mut Keys) -> Result<(), Malformed> {
    if args.len() < 2 {
        return Err(Malformed);
    }
    keys.places.push(1);
    let mut store = None;
    let mut place = 2;
    while let Some(option) = args.get(place) {
        let argument = args.get(place + 1);
        place += match (option.to_ascii_uppercase().as_slice(), argument) {
            (b"LIMIT", _) => 3,
            (b"BY" | b"GET", Some(pattern)) => {
                if pattern.contains(&b'*') {
                    keys.patterns.push(place + 1);
                }
                2
            }
            (b"STORE", Some(_)) => {
                store = Some(place + 1);
                2
            }
            _ => 1,
        };
    }
    keys.places.extend(store);
    Ok(())
}

/// `GEORADIUS key longitude latitude radius unit [COUNT count] [STORE key|STOREDIST key] …` and
/// `GEORADIUSBYMEMBER key member radius unit …`, whose options begin at argument `options` (Redis 7.0
/// `geo.c` `georadiusGeneric`).
///
/// The server stores in the last key of several; the key specifications name the first behind each
/// word, and take a key `STORE` for the word.
pub(super) fn geo_radius(
    args: &[&[u8]],
    options: u8,
    places: &mut Vec<usize>,
) -> Result<(), Malformed> {
    if args.len() < 2 {
        return Err(Malformed);
    }
    places.push(1);
    let mut place = usize::from(options);
    while let Some(option) = args.get(place) {
        place += match option.to_ascii_uppercase().as_slice() {
            b"STORE" | b"STOREDIST" if place + 1 < args.len() => {
                places.push(place + 1);
                2
            }
            _ => 1,
        };
    }
    Ok(())
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key … id …` and `XREADGROUP GROUP group consumer
/// [CLAIM milliseconds] [NOACK] …`, whose options come in any order (Redis 7.0 `t_stream.c`
/// `xreadCommand`).
///
/// The key specification of `XREADGROUP` takes a group `STREAMS` for the option if it does not stand
/// first.
pub(super) fn streams(args: &[&[u8]], places: &mut Vec<usize>) -> Result<(), Malformed> {
    let place = stream_options(args).find(|(_, option)| *option == StreamOption::Streams);
    let (place, _) = place.ok_or(Malformed)?;
    let rest = args.len() - place - 1;
    // Half of them are ids.
    if rest == 0 || rest % 2 == 1 {
        return Err(Malformed);
    }
    places.extend(place + 1..place + 1 + rest / 2);
    Ok(())
}

/// The argument of the option `BLOCK` of these commands; of several the last, as the server has it.
pub(super) fn stream_block<'a, 'b>(args: &'b [&'a [u8]]) -> Option<&'b &'a [u8]> {
    let blocks = stream_options(args).filter(|(_, option)| *option == StreamOption::Block);
    args.get(blocks.last()?.0 + 1)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamOption {
    Streams,
    Block,
    Other,
}

/// The places of the options up to `STREAMS`, behind which stand keys and ids.
fn stream_options(args: &[&[u8]]) -> impl Iterator<Item = (usize, StreamOption)> {
    let mut next = 1;
    std::iter::from_fn(move || {
        let place = next;
        let (option, length) = match args.get(place)?.to_ascii_uppercase().as_slice() {
            b"STREAMS" => (StreamOption::Streams, args.len()),
            b"GROUP" => (StreamOption::Other, 3),
            b"BLOCK" => (StreamOption::Block, 2),
            b"CLAIM" | b"COUNT" => (StreamOption::Other, 2),
            _ => (StreamOption::Other, 1),
        };
        next += length;
        Some((place, option))
    })
}

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH p] [AUTH2 u p] [KEYS key …]` (Redis 7.0
/// `db.c` `migrateGetKeys`).
pub(super) fn migrate(args: &[&[u8]], places: &mut Vec<usize>) -> Result<(), Malformed> {
    let mut place = 6;
    while let Some(option) = args.get(place) {
        place += match option.to_ascii_uppercase().as_slice() {
            b"KEYS" => {
                if !args[3].is_empty() {
                    return Err(Malformed);
                }
                places.extend(place + 1..args.len());
                return Ok(());
            }
            b"AUTH" => 2,
            b"AUTH2" => 3,
            _ => 1,
        };
    }
    if args.len() <= 3 {
        return Err(Malformed);
    }
    places.push(3);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;

    /// Places of keys and of patterns, as the command's row finds them.
    fn found(line: &str) -> Result<(Vec<usize>, Vec<usize>), Malformed> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let table = CommandTable::new();
        let rule = table.rule(line.split(' ').next().unwrap()).unwrap();
        rule.keys_of(&args).map(|keys| (keys.places, keys.patterns))
    }

    fn places(line: &str) -> Result<Vec<usize>, Malformed> {
        found(line).map(|(places, _)| places)
    }

    #[test]
    fn an_argument_of_sort_that_looks_like_an_option_is_an_argument() {
        assert_eq!(found("SORT k"), Ok((vec![1], vec![])));
        assert_eq!(found("SORT k BY store STORE d"), Ok((vec![1, 5], vec![])));
        assert_eq!(found("SORT k LIMIT 0 10 GET w_* GET # store d"), Ok((vec![1, 10], vec![6])));
        assert_eq!(
            found("SORT k STORE a STORE b"),
            Ok((vec![1, 5], vec![])),
            "the last one counts"
        );
        assert_eq!(found("SORT k BY w_* DESC"), Ok((vec![1], vec![3])));
        assert_eq!(found("SORT k GET name"), Ok((vec![1], vec![])));
        assert_eq!(found("SORT"), Err(Malformed));
    }

    #[test]
    fn every_store_of_a_radius_is_a_key() {
        assert_eq!(places("GEORADIUS k 1 2 3 m"), Ok(vec![1]));
        assert_eq!(places("GEORADIUS k 1 2 3 m COUNT 1 STORE d"), Ok(vec![1, 9]));
        assert_eq!(places("GEORADIUS k 1 2 3 m STORE a storedist b"), Ok(vec![1, 7, 9]));
        assert_eq!(places("GEORADIUS k 1 2 3 m STOREDIST STORE STORE b"), Ok(vec![1, 7, 9]));
        assert_eq!(places("GEORADIUS k 1 2 3 m STOREDIST STORE"), Ok(vec![1, 7]));
        assert_eq!(places("GEORADIUS k 1 2 3 m STORE"), Ok(vec![1]));
        assert_eq!(places("GEORADIUSBYMEMBER k STORE 3 m STORE d"), Ok(vec![1, 6]));
        assert_eq!(places("GEORADIUSBYMEMBER"), Err(Malformed));
    }

    #[test]
    fn a_group_may_be_called_streams() {
        assert_eq!(places("XREAD COUNT 2 streams a b 0 0"), Ok(vec![4, 5]));
        assert_eq!(places("XREAD STREAMS STREAMS 0"), Ok(vec![2]));
        let groups = "XREADGROUP COUNT 2 GROUP STREAMS STREAMS NOACK CLAIM 5 STREAMS a b 0 0";
        assert_eq!(places(groups), Ok(vec![10, 11]));
        assert_eq!(places("XREAD STREAMS a b 0"), Err(Malformed));
        assert_eq!(places("XREAD STREAMS"), Err(Malformed));
        assert_eq!(places("XREAD COUNT 2"), Err(Malformed));
    }

    #[test]
    fn the_keys_of_migrate_are_not_its_password() {
        assert_eq!(places("MIGRATE h 1 k 0 9"), Ok(vec![3]));
        assert_eq!(places("MIGRATE h 1 k 0 9 AUTH keys COPY"), Ok(vec![3]));
        assert_eq!(places("MIGRATE h 1  0 9 auth2 u keys KEYS a keys b"), Ok(vec![10, 11, 12]));
        assert_eq!(places("MIGRATE h 1 k 0 9 KEYS a"), Err(Malformed));
        assert_eq!(places("MIGRATE h 1"), Err(Malformed));
    }
}
