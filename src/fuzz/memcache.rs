//! Replies of memcached's.

use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Dialect;
use crate::protocol::memcache::Kind;
use crate::protocol::memcache::ProgressOf;
use crate::protocol::memcache::read;
use crate::protocol::memcache::read_stat;
use crate::protocol::memcache::read_version;

const KINDS: [Kind; 6] = [
    Kind::Get { with_cas: false },
    Kind::Get { with_cas: true },
    Kind::Store,
    Kind::Delete,
    Kind::Arithmetic,
    Kind::Touch,
];

/// Replies of memcached's in `bytes` are the same whether they come at once or cut into pieces, `sizes`
/// being the lengths of these; and no more is said to be missing than is. `kind` says what was asked.
pub fn memcache(kind: u8, bytes: &[u8], sizes: &[u8]) {
    let read = |bytes: &[u8]| {
        let asked = KINDS.get(usize::from(kind >> 1));
        let dialect = if kind & 1 == 0 { Dialect::Classic } else { Dialect::Meta };
        match asked {
            Some(asked) => said(read(bytes, dialect, *asked, b"k", 7)),
            None if dialect == Dialect::Classic => said(read_version(bytes)),
            None => said(read_stat(bytes)),
        }
    };
    let mut start = 0;
    let mut sizes = sizes.iter();
    loop {
        let rest = &bytes[start..];
        let whole = read(rest);
        let mut end = 0;
        // What is known of a part stays so.
        while end < rest.len() {
            match (read(&rest[..end]), &whole) {
                (Ok(ProgressOf::Missing(count)), whole) => {
                    assert!(count > 0, "nothing is missing of a cut reply");
                    if let Ok(ProgressOf::Whole(_, length)) = whole {
                        assert!(end + count <= *length, "too much is missing at {end}");
                    }
                }
                (part, whole) => assert_eq!(part, *whole, "cut at {end}"),
            }
            end += sizes.next().map_or(rest.len(), |&size| usize::from(size).max(1));
        }
        match whole {
            Ok(ProgressOf::Whole(_, length)) => {
                assert!((1..=rest.len()).contains(&length), "a reply of {length} bytes");
                start += length;
            }
            Ok(ProgressOf::Missing(count)) => return assert!(count > 0),
            Err(_) => return,
        }
    }
}

/// What was read, so that all of it can be compared.
fn said<T: std::fmt::Debug>(
    progress: Result<ProgressOf<T>, BrokenReply>,
) -> Result<ProgressOf<String>, BrokenReply> {
    Ok(match progress? {
        ProgressOf::Whole(reply, length) => ProgressOf::Whole(format!("{reply:?}"), length),
        ProgressOf::Missing(count) => ProgressOf::Missing(count),
    })
}
