//! `SORT` and `SORT_RO`: options whose arguments may look like options, and patterns that name keys.

use super::keys::Keys;
use super::keys::Malformed;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE key]` (Redis
/// 7.0 `db.c` `sortGetKeys`).
///
/// A pattern behind `BY` or `GET` that has a `*` reads a key for each element. One without reads none:
/// `BY` then leaves the elements unsorted, `GET` answers nil, and `GET #` the element itself (Redis 7.0
/// `sort.c` `lookupKeyByPattern`).
pub(super) fn find_in(args: &[&[u8]], keys: &mut Keys) -> Result<(), Malformed> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> (Vec<usize>, Vec<usize>) {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut keys = Keys::default();
        find_in(&args, &mut keys).unwrap();
        (keys.places, keys.patterns)
    }

    #[test]
    fn an_argument_that_looks_like_an_option_is_an_argument() {
        assert_eq!(found("SORT k"), (vec![1], vec![]));
        assert_eq!(found("SORT k BY store STORE d"), (vec![1, 5], vec![]));
        assert_eq!(found("SORT k LIMIT 0 10 GET w_* GET # store d"), (vec![1, 10], vec![6]));
        assert_eq!(found("SORT k STORE a STORE b"), (vec![1, 5], vec![]), "the last one counts");
        assert_eq!(found("SORT k BY w_* DESC"), (vec![1], vec![3]));
        assert_eq!(found("SORT k GET name"), (vec![1], vec![]));
    }
}
