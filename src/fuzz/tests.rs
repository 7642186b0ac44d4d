use proptest::prelude::*;

use super::*;
use crate::protocol::resp::replies as reply;

/// What stands in requests: keys, and what a reader of options may take for something else.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "+1",
        "9999999999999999999",
        "a",
        "{a}b",
        "{a}c",
        "b",
        "*",
        "#",
        "{a}*",
        "w_*",
        "$",
        "STORE",
        "STOREDIST",
        "STREAMS",
        "GROUP",
        "BLOCK",
        "COUNT",
        "CLAIM",
        "LIMIT",
        "BY",
        "get",
        "KEYS",
        "AUTH",
        "AUTH2",
        "GROUPBY",
        "RESET",
        "ASYNC",
    ];
    let word = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    prop_oneof![8 => word, 1 => prop::collection::vec(any::<u8>(), 0..9)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_of_the_table_takes_any_arguments(
        arguments in prop::collection::vec(argument(), 0..12),
        nodes in 1usize..5,
    ) {
        for name in CommandTable::new().names() {
            let mut args: Vec<&[u8]> = name.split(' ').map(str::as_bytes).collect();
            args.extend(arguments.iter().map(Vec::as_slice));
            requests(&args, nodes);
        }
    }

    #[test]
    fn any_request_is_planned(
        args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..9),
        nodes in 1usize..5,
    ) {
        requests(&args.iter().map(Vec::as_slice).collect::<Vec<_>>(), nodes);
    }
}

proptest! {
    #[test]
    fn pipelined_replies_are_read_however_they_are_cut(
        pipeline in prop::collection::vec(reply(), 1..7),
        sizes in prop::collection::vec(0u8..30, 0..40),
    ) {
        let bytes = pipeline.concat();
        let lengths: Vec<_> = pipeline.iter().map(Vec::len).collect();
        prop_assert_eq!(frames(&bytes, &[]), (lengths, None));
        replies(&bytes, &sizes);
        replies(&bytes, &vec![1; bytes.len()]);
    }

    #[test]
    fn a_reply_is_read_wherever_it_is_cut(bytes in reply()) {
        for cut in 0..bytes.len() {
            let mut scanner = Scanner::default();
            prop_assert_eq!(scanner.scan(&bytes[..cut]), Ok(None));
            let missing = scanner.missing(&bytes[..cut]);
            prop_assert!(missing > 0 && cut + missing <= bytes.len());
            prop_assert_eq!(scanner.scan(&bytes), Ok(Some(bytes.len())));
        }
    }

    #[test]
    fn spoilt_replies_are_read_or_refused_as_by_redis_rs(
        pipeline in prop::collection::vec(reply(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
        sizes in prop::collection::vec(0u8..30, 0..40),
    ) {
        let mut bytes = pipeline.concat();
        for (place, change) in changes {
            let place = place.index(bytes.len());
            match change {
                Change::Set(byte) => bytes[place] = byte,
                Change::Insert(byte) => bytes.insert(place, byte),
                Change::Remove if bytes.len() > 1 => drop(bytes.remove(place)),
                Change::Remove => {}
            }
        }
        replies(&bytes, &sizes);
    }
}

#[derive(Clone, Debug)]
enum Change {
    Set(u8),
    Insert(u8),
    Remove,
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || {
        prop_oneof![prop::sample::select(&b"+-:$*_#,(=!~>%|\r\n0123456789 tf"[..]), any::<u8>(),]
    };
    prop_oneof![byte().prop_map(Change::Set), byte().prop_map(Change::Insert), Just(Change::Remove),]
}

proptest! {
    #[test]
    fn replies_of_memcached_are_read_however_they_are_cut(
        kind in 0u8..14,
        words in prop::collection::vec(prop::sample::select(MEMCACHE), 0..12),
        sizes in prop::collection::vec(0u8..9, 0..40),
    ) {
        memcache(kind, words.concat().as_bytes(), &sizes);
        memcache(kind, words.concat().as_bytes(), &[1; 200]);
    }
}

/// What stands in replies of memcached's, mostly whole ones.
const MEMCACHE: &[&str] = &[
    "VALUE k 5 3\r\nabc\r\nEND\r\n",
    "VALUE k 5 3 41\r\nabc\r\nEND\r\n",
    "VALUE k ",
    "VA 3 f5 c41 O7\r\nabc\r\n",
    "VA 2 O7\r\n12\r\n",
    "VA 9 f5 O7\r\n",
    "END\r\n",
    "EN O7\r\n",
    "HD O7\r\n",
    "HD O8\r\n",
    "STORED\r\n",
    "NOT_FOUND\r\n",
    "12\r\n",
    "ERROR\r\n",
    "CLIENT_ERROR no\r\n",
    "STAT a b c\r\n",
    "VERSION 1\r\n",
    "0 ",
    "9",
    "\r\n",
    "\n",
    "abc",
];

proptest! {
    #[test]
    fn a_proxy_reads_requests_however_they_are_cut(
        words in prop::collection::vec(prop::sample::select(MEMCACHE_REQUESTS), 0..14),
        sizes in prop::collection::vec(0u8..9, 0..60),
    ) {
        memcache_requests(words.concat().as_bytes(), &sizes);
        memcache_requests(words.concat().as_bytes(), &[1; 200]);
    }

    #[test]
    fn a_proxy_finds_ends_of_replies_however_they_are_cut(
        expected in 0u8..4,
        words in prop::collection::vec(prop::sample::select(MEMCACHE), 0..12),
        sizes in prop::collection::vec(0u8..9, 0..40),
    ) {
        memcache_reply_ends(expected, words.concat().as_bytes(), &sizes);
        memcache_reply_ends(expected, words.concat().as_bytes(), &[1; 200]);
    }

    #[test]
    fn a_typed_line_is_read_or_refused(line in "[ab\"'\\\\xn0 \t\r\n\u{b}\0]{0,20}") {
        inline_command(line.as_bytes());
    }
}

/// What stands in requests to a memcached, mostly whole ones.
const MEMCACHE_REQUESTS: &[&str] = &[
    "get a\r\n",
    "get a b\n",
    "gets ",
    "gat 0 a\r\n",
    "set a 0 0 3\r\nabc\r\n",
    "set a 0 0 3 noreply\r\nabc\r\n",
    "cas a 0 0 1 5\r\na\r\n",
    "delete a noreply\r\n",
    "incr a 1\r\n",
    "mg a q v\r\n",
    "ms a 2 q\r\nab\r\n",
    "mg Zm9v b\r\n",
    "ms ",
    "set ",
    "a ",
    "0 ",
    "3 ",
    "noreply",
    "q",
    "b ",
    "mn\r\n",
    "abc",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\u{1}",
    "flush_all noreply\r\n",
    "stats\r\n",
];

#[test]
fn replies_that_were_read_otherwise_once() {
    // Found by the fuzz target: a line end that is half of one.
    for bytes in [&b"-\n2\r\n"[..], b"-ERR a\rb\r\n", b"!9\r\nERR a\r\nbc\r\n", b"+a\rb\r\n"] {
        replies(bytes, &[]);
    }
}

#[test]
fn replies_are_nested_as_deep_as_redis_rs_reads() {
    for depth in 95..105 {
        for leaf in [":1\r\n", "*0\r\n", "|0\r\n:1\r\n"] {
            replies(&[b"*1\r\n".repeat(depth), leaf.as_bytes().to_vec()].concat(), &[]);
        }
    }
}

/// What clients of the proxy send, and nodes answer, mostly whole requests and replies.
const PROXY: &[&str] = &[
    "*2\r\n$3\r\nGET\r\n$2\r\ne1\r\n",
    "*3\r\n$4\r\nMGET\r\n$2\r\ne1\r\n$2\r\nm2\r\n",
    "*3\r\n$3\r\nSET\r\n$2\r\ne3\r\n$1\r\nx\r\n",
    "MULTI\r\n",
    "EXEC\r\n",
    "DISCARD\r\n",
    "WATCH e1\r\n",
    "UNWATCH\r\n",
    "HELLO 3\r\n",
    "RESET\r\n",
    "PING\r\n",
    "QUIT\r\n",
    "SCAN 0\r\n",
    "BLPOP e1 e1 0\r\n",
    "SUBSCRIBE a b\r\n",
    "UNSUBSCRIBE\r\n",
    "GET b:20000:1\r\n",
    "get e1\r\n",
    "gets e1 m2 e3\r\n",
    "set e1 0 0 2\r\nab\r\n",
    "set e1 0 0 2 noreply\r\nab\r\n",
    "mg e1 v q\r\n",
    "mn\r\n",
    "version a noreply\r\n",
    "$4\r\n<e1>\r\n",
    "*2\r\n$1\r\na\r\n_\r\n",
    ":3\r\n",
    "+OK\r\n",
    "-ERR no\r\n",
    ">3\r\n$9\r\nsubscribe\r\n$2\r\ne1\r\n:1\r\n",
    "VALUE e1 0 4\r\n<e1>\r\nEND\r\n",
    "STORED\r\n",
    "HD\r\n",
    "$20000\r\n",
    "\r\n",
    "x",
];

proptest! {
    #[test]
    fn whoever_talks_to_the_proxy_is_answered(
        kind in 0u8..16,
        words in prop::collection::vec(prop::sample::select(PROXY), 0..16),
        sizes in prop::collection::vec(1u8..40, 0..20),
    ) {
        let bytes = words.concat();
        proxy_client(kind & 1 == 0, bytes.as_bytes(), &sizes);
        proxy_node(kind, bytes.as_bytes(), &sizes);
    }

    #[test]
    fn whatever_happens_to_the_proxy_it_goes_on(choices in prop::collection::vec(any::<u8>(), 0..300)) {
        proxy_walk(&choices);
    }
}
