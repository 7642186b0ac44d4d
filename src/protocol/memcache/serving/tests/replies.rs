//! Replies of nodes.

use proptest::prelude::*;

use super::super::super::BrokenReply;
use super::super::*;
use super::text;

const ALL: [Expected; 4] = [Expected::Line, Expected::Values, Expected::Meta, Expected::Stats];

/// The lengths of the replies in `bytes`, which come in pieces of these sizes and a last one, and what is
/// wrong with the rest.
fn ends(expected: Expected, bytes: &[u8], sizes: &[usize]) -> (Vec<usize>, Option<BrokenReply>) {
    let mut scanner = ReplyScanner::default();
    let (mut start, mut end, mut lengths) = (0, 0, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        end = sizes.next().map_or(bytes.len(), |size| bytes.len().min(end + size));
        loop {
            match scanner.scan(expected, &bytes[start..end]) {
                Ok(Some(length)) => {
                    assert!((1..=end - start).contains(&length));
                    lengths.push(length);
                    start += length;
                }
                Ok(None) => break,
                Err(broken) => return (lengths, Some(broken)),
            }
        }
        assert!(scanner.missing(expected, &bytes[start..end]) > 0);
        assert!(scanner.known(&bytes[start..end]) <= end - start);
        if end == bytes.len() {
            return (lengths, None);
        }
    }
}

/// Checks that `reply` is a whole one, wherever it is cut, and that no more is said to be missing than is.
fn is_whole(expected: Expected, reply: &str) {
    let bytes = [reply.as_bytes(), b"behind"].concat();
    for cut in 0..reply.len() {
        let mut scanner = ReplyScanner::default();
        assert_eq!(scanner.scan(expected, &bytes[..cut]), Ok(None), "{reply:?} at {cut}");
        let missing = scanner.missing(expected, &bytes[..cut]);
        let is_error = reply.contains("ERROR");
        assert!(missing > 0 && (is_error || cut + missing <= reply.len()), "{reply:?} at {cut}");
        let known = scanner.known(&bytes[..cut]);
        scanner.take(known);
        let length = scanner.scan(expected, &bytes[known..]);
        assert_eq!(length, Ok(Some(reply.len() - known)), "{reply:?} at {cut}");
    }
}

#[test]
fn replies_end_where_they_end() {
    for line in [
        "STORED\r\n",
        "NOT_STORED\r\n",
        "EXISTS\r\n",
        "NOT_FOUND\r\n",
        "DELETED\r\n",
        "TOUCHED\r\n",
        "OK\r\n",
        "RESET\r\n",
        "MN\r\n",
        "18446744073709551615\r\n",
        "VERSION 1.6.18 Debian\r\n",
    ] {
        is_whole(Expected::Line, line);
    }
    for values in [
        "END\r\n",
        "VALUE a 0 3\r\nabc\r\nEND\r\n",
        "VALUE a 0 3 7\r\nabc\r\nVALUE b 9 7 8\r\nEND\r\nx \r\nEND\r\n",
        "VALUE a 0 0\r\n\r\nSERVER_ERROR out of memory writing get response\r\n",
    ] {
        is_whole(Expected::Values, values);
    }
    for length in [1, 12, 123, 1234] {
        let value = format!("VALUE a 0 {length}\r\n{}\r\n", "\r".repeat(length));
        is_whole(Expected::Values, &(value.clone() + "END\r\n"));
        is_whole(
            Expected::Values,
            &(format!("VALUE b 0 1\r\n\n\r\n{value}VALUE c 0 1\r\nx\r\nEND\r\n")),
        );
    }
    for meta in [
        "HD\r\n",
        "HD kfoo O7\r\n",
        "EN\r\n",
        "NF O1\r\n",
        "NS\r\n",
        "EX c0\r\n",
        "MN\r\n",
        "VA 3 f5 c41 O7\r\nEN\r\r\n",
        "VA 0 W\r\n\r\n",
        "ME foo exp=-1 la=0 cas=13 fetch=no cls=1 size=63\r\n",
    ] {
        is_whole(Expected::Meta, meta);
    }
    for stats in [
        "STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n",
        "END\r\n",
        "OK\r\n",
        "RESET\r\n",
        "PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n",
        "ITEM foo [3 b; 0 s]\r\nEND\r\n",
        "STAT a b\r\nSERVER_ERROR no\r\n",
    ] {
        is_whole(Expected::Stats, stats);
    }
    for expected in ALL {
        for error in [
            "ERROR\r\n",
            "ERROR Too many open connections\r\n",
            "ERROR: shutdown not enabled\r\n",
            "CLIENT_ERROR bad data chunk\r\n",
            "SERVER_ERROR object too large for cache\r\n",
        ] {
            is_whole(expected, error);
            assert!(is_error(error.as_bytes()));
        }
    }
    assert!(!is_error(b"END\r\n") && !is_error(b"CLIENT_\r\n") && !is_error(b""));
}

#[test]
fn what_is_no_reply_to_what_was_asked_is_broken() {
    use BrokenReply::*;
    for (expected, bytes, broken) in [
        (Expected::Line, &b"-ERR\r\n"[..], NoReply),
        (Expected::Line, b"stored", NoReply),
        (Expected::Line, b"\r\n", NoReply),
        (Expected::Line, b"STORED\n", LineEnd),
        (Expected::Line, b"END\r\n", Unexpected),
        (Expected::Line, b"HD\r\n", Unexpected),
        (Expected::Line, b"STORED x\r\n", Unexpected),
        (Expected::Line, b"12a\r\n", Unexpected),
        (Expected::Line, b"VALUE a 0 1\r\n", Unexpected),
        (Expected::Line, b"VERSION\r\n", Unexpected),
        (Expected::Values, b"STORED\r\n", Unexpected),
        (Expected::Values, b"END x\r\n", Unexpected),
        (Expected::Values, b"VALUE a 0\r\n", Unexpected),
        (Expected::Values, b"VALUE a 0 1 2 3\r\n", Unexpected),
        (Expected::Values, b"VALUE a 0 x\r\n", Number),
        (Expected::Values, b"VALUE a 0 4294967296\r\n", Number),
        (Expected::Values, b"VALUE a 0 1 x\r\n", Number),
        (Expected::Values, b"VALUE a 0 1\r\nab\r\n", DataEnd),
        (Expected::Values, b"VALUE a 0 1\r\na\r\nSTORED\r\n", Unexpected),
        (Expected::Values, b"VALUE a 0 1\r\na\r\nVALUE b 0 1\r\na\n\n", DataEnd),
        (Expected::Values, b"VALUE a 0 1\r\na\r\nVALUE b\x01 0 1\r\na\r\n", Unexpected),
        (Expected::Meta, b"VA\r\n", Unexpected),
        (Expected::Meta, b"VA x\r\n", Number),
        (Expected::Meta, b"VA 4294967296\r\n", Number),
        (Expected::Meta, b"VA 1\r\nab\r\n", DataEnd),
        (Expected::Meta, b"END\r\n", Unexpected),
        (Expected::Stats, b"STAT\r\n", Unexpected),
        (Expected::Stats, b"STAT a b\r\nOK\r\n", Unexpected),
        (Expected::Stats, b"STAT a b\r\nVALUE a 0 1\r\n", Unexpected),
    ] {
        assert_eq!(ends(expected, bytes, &[]), (vec![], Some(broken)), "{}", text(bytes));
        assert_eq!(ends(expected, bytes, &[1; 40]), (vec![], Some(broken)), "{}", text(bytes));
    }
    let long = [b"STAT ", &[b'x'; 8 << 10][..]].concat();
    assert_eq!(ends(Expected::Stats, &long, &[]).1, Some(LineTooLong));
    assert_eq!(ends(Expected::Stats, &[&long[..], b"\r\n"].concat(), &[]).1, Some(LineTooLong));
}

#[test]
fn what_is_missing_of_a_value_is_known() {
    let mut scanner = ReplyScanner::default();
    let bytes = b"VALUE a 0 1000000\r\nabc";
    assert_eq!(scanner.scan(Expected::Values, bytes), Ok(None));
    assert_eq!(scanner.missing(Expected::Values, bytes), 1_000_000 - 3 + 2 + 5);
    assert_eq!(scanner.known(bytes), bytes.len());
    scanner.take(bytes.len());
    assert_eq!(scanner.scan(Expected::Values, b""), Ok(None));
    assert_eq!(scanner.missing(Expected::Values, b""), 1_000_000 - 3 + 2 + 5);
    // 4 GiB are let through piece by piece.
    assert_eq!(scanner.known(b"behind"), 6);
}

#[test]
fn values_are_counted_however_they_come() {
    let value = "VALUE a 0 3\r\nabc\r\n";
    let reply = value.repeat(3) + "END\r\n";
    for cut in 0..reply.len() {
        let mut scanner = ReplyScanner::default();
        assert_eq!(scanner.scan(Expected::Values, &reply.as_bytes()[..cut]), Ok(None));
        // Those that have begun: of which the line is there.
        let begun = (0..3).filter(|number| cut >= number * value.len() + 13).count();
        assert_eq!(scanner.values() as usize, begun, "cut at {cut}");
        assert_eq!(scanner.scan(Expected::Values, reply.as_bytes()), Ok(Some(reply.len())));
        assert_eq!((scanner.last_values(), scanner.values()), (3, 0), "cut at {cut}");
    }
}

#[test]
fn values_are_parts_of_a_reply() {
    let reply = b"VALUE a 0 3 7\r\nabc\r\nVALUE b 9 7 8\r\nEND\r\nx \r\nEND\r\n";
    let mut values = Values::new(reply);
    assert_eq!(values.next(), Some((&b"a"[..], &reply[..20])));
    assert_eq!(values.next(), Some((&b"b"[..], &reply[20..44])));
    assert_eq!(values.next(), None);
    assert_eq!(values.rest(), b"END\r\n");

    let mut values = Values::new(b"VALUE a 0 0\r\n\r\nSERVER_ERROR no\r\n");
    assert_eq!(values.by_ref().count(), 1);
    assert!(is_error(values.rest()));
    for broken in [&b""[..], b"VALUE a 0 9\r\nabc\r\n", b"VALUE a\r\n", b"VALUE a 0 9", b"\n"] {
        assert_eq!(Values::new(broken).count(), 0);
    }
}

const WORDS: &[&str] = &[
    "VALUE k 5 3\r\nabc\r\n",
    "VALUE k 5 3 41\r\nabc\r\n",
    "VALUE k 0 3\r\nabc\r\n",
    "VALUE k 0 14\r\n",
    "VALUE k ",
    "VA 3 f5 c41 O7\r\nabc\r\n",
    "VA 9 ",
    "END\r\n",
    "EN O7\r\n",
    "HD\r\n",
    "STORED\r\n",
    "12\r\n",
    "ERROR\r\n",
    "CLIENT_ERROR no\r\n",
    "STAT a b c\r\n",
    "VERSION 1\r\n",
    "OK\r\n",
    "0 ",
    "9",
    "\r\n",
    "\n",
    "abc",
    "A",
];

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        expected in prop::sample::select(&ALL[..]),
        words in prop::collection::vec(prop::sample::select(WORDS), 0..12),
        sizes in prop::collection::vec(0usize..9, 0..40),
    ) {
        let bytes = words.concat().into_bytes();
        let whole = ends(expected, &bytes, &[]);
        prop_assert_eq!(&ends(expected, &bytes, &sizes), &whole);
        if expected == Expected::Values {
            let mut start = 0;
            for length in whole.0 {
                let reply = &bytes[start..start + length];
                let mut values = Values::new(reply);
                let blocks: usize = values.by_ref().map(|(_, block)| block.len()).sum();
                prop_assert_eq!(blocks + values.rest().len(), length);
                prop_assert!(values.rest() == b"END\r\n" || is_error(values.rest()));
                start += length;
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        expected in prop::sample::select(&ALL[..]),
        bytes in prop::collection::vec(prop_oneof![32u8..127, any::<u8>(), Just(b'\n')], 0..80),
    ) {
        prop_assert_eq!(ends(expected, &bytes, &[1; 80]), ends(expected, &bytes, &[]));
        Values::new(&bytes).count();
    }
}
