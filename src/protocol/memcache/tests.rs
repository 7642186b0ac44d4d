use proptest::prelude::*;

use super::*;

mod model;

use model::Model;
use model::apply;
use model::parse;
use model::reply_text;
use model::step;

const DIALECTS: [Dialect; 2] = [Dialect::Classic, Dialect::Meta];
const KINDS: [Kind; 6] = [
    Kind::Get { with_cas: false },
    Kind::Get { with_cas: true },
    Kind::Store,
    Kind::Delete,
    Kind::Arithmetic,
    Kind::Touch,
];
const CLASSIC_GET: Kind = Kind::Get { with_cas: false };
const CLASSIC_GETS: Kind = Kind::Get { with_cas: true };

fn written(dialect: Dialect, key: &str, request: Request<'_>) -> String {
    let mut out = b"before ".to_vec();
    write(&mut out, dialect, key.as_bytes(), &request, 7);
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
}

fn store(mode: StoreMode) -> Request<'static> {
    Request::Store { mode, flags: 5, expiration: 60, data: b"a\r\nb" }
}

/// The reply to a request for `key` with opaque 7.
fn classic(kind: Kind, bytes: &str) -> Result<Progress<'_>, BrokenReply> {
    read(bytes.as_bytes(), Dialect::Classic, kind, b"key", 7)
}

fn meta(kind: Kind, bytes: &str) -> Result<Progress<'_>, BrokenReply> {
    read(bytes.as_bytes(), Dialect::Meta, kind, b"key", 7)
}

#[test]
fn classic_requests() {
    let written = |request| written(Dialect::Classic, "key", request);
    assert_eq!(written(Request::Get { with_cas: false }), "get key\r\n");
    assert_eq!(written(Request::Get { with_cas: true }), "gets key\r\n");
    assert_eq!(written(store(StoreMode::Set)), "set key 5 60 4\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Add)), "add key 5 60 4\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Replace)), "replace key 5 60 4\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Append)), "append key 5 60 4\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Prepend)), "prepend key 5 60 4\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Cas(41))), "cas key 5 60 4 41\r\na\r\nb\r\n");
    assert_eq!(written(Request::Delete), "delete key\r\n");
    assert_eq!(
        written(Request::Increment { delta: u64::MAX, creates: false }),
        "incr key 18446744073709551615\r\n"
    );
    assert_eq!(written(Request::Decrement { delta: 0, creates: false }), "decr key 0\r\n");
    assert_eq!(written(Request::Touch { expiration: 60 }), "touch key 60\r\n");
}

#[test]
fn meta_requests() {
    let written = |request| written(Dialect::Meta, "key", request);
    assert_eq!(written(Request::Get { with_cas: false }), "mg key v f O7\r\n");
    assert_eq!(written(Request::Get { with_cas: true }), "mg key v f c O7\r\n");
    assert_eq!(written(store(StoreMode::Set)), "ms key 4 F5 T60 MS O7\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Add)), "ms key 4 F5 T60 ME O7\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Replace)), "ms key 4 F5 T60 MR O7\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Append)), "ms key 4 F5 T60 MA O7\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Prepend)), "ms key 4 F5 T60 MP O7\r\na\r\nb\r\n");
    assert_eq!(written(store(StoreMode::Cas(41))), "ms key 4 F5 T60 MS C41 O7\r\na\r\nb\r\n");
    assert_eq!(written(Request::Delete), "md key O7\r\n");
    assert_eq!(
        written(Request::Increment { delta: u64::MAX, creates: false }),
        "ma key MI v D18446744073709551615 O7\r\n"
    );
    assert_eq!(written(Request::Decrement { delta: 0, creates: false }), "ma key MD v D0 O7\r\n");
    assert_eq!(written(Request::Touch { expiration: 60 }), "mg key T60 O7\r\n");
}

#[test]
fn a_classic_get_is_a_value_and_an_end_or_an_end() {
    let value = Reply::Value { data: b"END\r\n", flags: u32::MAX, cas: None };
    let bytes = "VALUE key 4294967295 5\r\nEND\r\n\r\nEND\r\nbehind";
    assert_eq!(classic(CLASSIC_GET, bytes), Ok(Progress::Whole(value, bytes.len() - 6)));
    assert_eq!(classic(CLASSIC_GET, "END\r\n"), Ok(Progress::Whole(Reply::Miss, 5)));
    let value = Reply::Value { data: b"", flags: 0, cas: Some(u64::MAX) };
    let bytes = "VALUE key 0 0 18446744073709551615\r\n\r\nEND\r\n";
    assert_eq!(classic(CLASSIC_GETS, bytes), Ok(Progress::Whole(value, bytes.len())));

    for (kind, bytes, broken) in [
        (CLASSIC_GET, "VALUE kez 0 1\r\na\r\nEND\r\n", BrokenReply::Key),
        (CLASSIC_GET, "VALUE  key 0 1\r\na\r\nEND\r\n", BrokenReply::Key),
        (
            CLASSIC_GET,
            "VALUE key 0 1\r\na\r\nVALUE key 0 1\r\na\r\nEND\r\n",
            BrokenReply::Unexpected,
        ),
        (CLASSIC_GET, "VALUE key 0 1\r\na\r\nSTORED\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "VALUE key 0 1\r\nab\r\nEND\r\n", BrokenReply::DataEnd),
        (CLASSIC_GET, "VALUE key 0 2\r\na\r\nEND\r\n", BrokenReply::DataEnd),
        (CLASSIC_GET, "VALUE key 0 -1\r\n", BrokenReply::Number),
        (CLASSIC_GET, "VALUE key 0 4294967296\r\n", BrokenReply::Number),
        (CLASSIC_GET, "VALUE key 4294967296 1\r\n", BrokenReply::Number),
        (CLASSIC_GET, "VALUE key 0 01\r\n", BrokenReply::Number),
        (CLASSIC_GET, "VALUE key 0\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "VALUE key 0 1 2\r\n", BrokenReply::Unexpected),
        (CLASSIC_GETS, "VALUE key 0 1\r\n", BrokenReply::Unexpected),
        (CLASSIC_GETS, "VALUE key 0 1 2 3\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "STORED\r\n", BrokenReply::Unexpected),
        (Kind::Store, "END\r\n", BrokenReply::Unexpected),
        (Kind::Store, "VALUE key 0 1\r\na\r\nEND\r\n", BrokenReply::Unexpected),
        (Kind::Delete, "STORED\r\n", BrokenReply::Unexpected),
        (Kind::Arithmetic, "12a\r\n", BrokenReply::Number),
        (Kind::Arithmetic, "18446744073709551616\r\n", BrokenReply::Number),
        (Kind::Touch, "12\r\n", BrokenReply::Unexpected),
        (Kind::Touch, "touched\r\n", BrokenReply::NoReply),
    ] {
        assert_eq!(classic(kind, bytes), Err(broken), "{bytes:?}");
    }
}

#[test]
fn a_meta_reply_repeats_the_opaque_of_its_request() {
    let value = Reply::Value { data: b"abc", flags: 5, cas: Some(41) };
    for bytes in ["VA 3 f5 c41 O7\r\nabc\r\n", "VA 3 O7 t-1 c41 W f5 X\r\nabc\r\n"] {
        let reply = Ok(Progress::Whole(value, bytes.len()));
        assert_eq!(meta(CLASSIC_GETS, bytes), reply, "{bytes:?}");
    }
    for (kind, bytes, broken) in [
        (CLASSIC_GET, "EN\r\n", BrokenReply::Opaque),
        (CLASSIC_GET, "EN O8\r\n", BrokenReply::Opaque),
        (CLASSIC_GET, "EN O07\r\n", BrokenReply::Opaque),
        (CLASSIC_GET, "EN O7 O8\r\n", BrokenReply::Opaque),
        (CLASSIC_GET, "EN O4294967303\r\n", BrokenReply::Opaque),
        // A reply that is not ours is not waited for.
        (CLASSIC_GET, "VA 3 f5 O8\r\n", BrokenReply::Opaque),
        (CLASSIC_GET, "VA 3 O7\r\nabc\r\n", BrokenReply::Unexpected),
        (CLASSIC_GETS, "VA 3 f5 O7\r\nabc\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "VA 3 f5 O7\r\nabcd\r\n", BrokenReply::DataEnd),
        (CLASSIC_GET, "VA f5 O7\r\nabcd\r\n", BrokenReply::Number),
        (CLASSIC_GET, "VA\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "HD O7\r\n", BrokenReply::Unexpected),
        (CLASSIC_GET, "END\r\n", BrokenReply::Unexpected),
        (Kind::Store, "HD\r\n", BrokenReply::Opaque),
        (Kind::Store, "EN O7\r\n", BrokenReply::Unexpected),
        (Kind::Store, "STORED\r\n", BrokenReply::Unexpected),
        (Kind::Delete, "NS O7\r\n", BrokenReply::Unexpected),
        (Kind::Arithmetic, "VA 1 O7\r\na\r\n", BrokenReply::Number),
        (Kind::Arithmetic, "VA 21 O7\r\n", BrokenReply::Number),
        (Kind::Touch, "NF O7\r\n", BrokenReply::Unexpected),
        (Kind::Touch, "MN\r\n", BrokenReply::Unexpected),
    ] {
        assert_eq!(meta(kind, bytes), Err(broken), "{bytes:?}");
    }
}

#[test]
fn error_lines_are_replies_to_every_request() {
    for (line, error) in [
        ("ERROR\r\n", ErrorReply::Unknown),
        ("ERROR what is that\r\n", ErrorReply::Unknown),
        ("CLIENT_ERROR bad data chunk\r\n", ErrorReply::Client(b"bad data chunk")),
        ("CLIENT_ERROR\r\n", ErrorReply::Client(b"")),
        ("SERVER_ERROR object too large\r\n", ErrorReply::Server(b"object too large")),
    ] {
        for (kind, dialect) in KINDS.into_iter().flat_map(|kind| DIALECTS.map(|it| (kind, it))) {
            let reply = Ok(Progress::Whole(Reply::Error(error), line.len()));
            assert_eq!(read(line.as_bytes(), dialect, kind, b"key", 7), reply, "{line:?}");
        }
    }
    let crowded = b"ERROR Too many open connections\r\n";
    for read in [read_auth, read_flush, read_meta_noop] {
        assert_eq!(read(crowded), Err(BrokenReply::TooManyConnections));
    }
    assert_eq!(
        read(crowded, Dialect::Meta, Kind::Delete, b"key", 7),
        Err(BrokenReply::TooManyConnections)
    );
}

#[test]
fn a_node_is_asked_as_a_whole() {
    let mut out = Vec::new();
    write_version(&mut out);
    write_meta_noop(&mut out);
    write_flush(&mut out, None);
    write_flush(&mut out, Some(60));
    write_stats(&mut out, None);
    write_stats(&mut out, Some(b"items"));
    write_auth(&mut out, b"user", b"pass word");
    let expected = "version\r\nmn\r\nflush_all\r\nflush_all 60\r\nstats\r\nstats items\r\n\
                    set auth 0 0 14\r\nuser pass word\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_node_replies_as_a_whole() {
    assert_eq!(
        read_version(b"VERSION 1.6.18 Debian\r\nMN\r\n"),
        Ok(ProgressOf::Whole(Ok(&b"1.6.18 Debian"[..]), 23))
    );
    assert_eq!(read_meta_noop(b"MN\r\n"), Ok(ProgressOf::Whole(Ok(()), 4)));
    assert_eq!(read_flush(b"OK\r\n"), Ok(ProgressOf::Whole(Ok(()), 4)));
    assert_eq!(read_auth(b"STORED\r\n"), Ok(ProgressOf::Whole(Ok(()), 8)));
    let unknown = Ok(ProgressOf::Whole(Err(ErrorReply::Unknown), 7));
    assert_eq!(read_meta_noop(b"ERROR\r\n"), unknown);
    assert_eq!(read_meta_noop(b"OK\r\n"), Err(BrokenReply::Unexpected));
    assert_eq!(read_meta_noop(b"MN"), Ok(ProgressOf::Missing(2)));

    let stat: (&[u8], &[u8]) = (b"version", b"1.6.18 Debian");
    let line = b"STAT version 1.6.18 Debian\r\nSTAT ";
    assert_eq!(read_stat(line), Ok(ProgressOf::Whole(Ok(Some(stat)), 28)));
    let empty: (&[u8], &[u8]) = (b"inter", b"");
    assert_eq!(read_stat(b"STAT inter \r\n"), Ok(ProgressOf::Whole(Ok(Some(empty)), 13)));
    assert_eq!(read_stat(b"END\r\n"), Ok(ProgressOf::Whole(Ok(None), 5)));
    assert_eq!(read_stat(b"RESET\r\n"), Ok(ProgressOf::Whole(Ok(None), 7)));
    assert_eq!(read_stat(b"STAT inter\r\n"), Err(BrokenReply::Unexpected));
}

proptest! {
    #[test]
    fn both_protocols_say_what_a_small_server_does(
        steps in prop::collection::vec((step(), 0u8..3), 1..30),
        is_meta: bool,
        first: u32,
    ) {
        let dialect = DIALECTS[usize::from(is_meta)];
        let (mut asked, mut served) = (Model::new(), Model::new());
        let (mut asked_next, mut served_next) = (0, 0);
        for (number, (step, key)) in steps.iter().enumerate() {
            let opaque = first.wrapping_add(number as u32);
            let (key, request) = (format!("key{key}").into_bytes(), step.request());
            let mut bytes = Vec::new();
            write(&mut bytes, dialect, &key, &request, opaque);
            let (said_key, said, said_opaque) = parse(&bytes);
            let reply = apply(&mut served, &mut served_next, &said_key, &said);
            let text = reply_text(dialect, said.kind(), &said_key, &said_opaque, &reply);
            let expected = apply(&mut asked, &mut asked_next, &key, &request);
            prop_assert_eq!(
                read(&text, dialect, request.kind(), &key, opaque),
                Ok(Progress::Whole(expected, text.len()))
            );
            // Wherever it is cut it is missed, and never more than there is.
            for cut in 0..text.len() {
                let progress = read(&text[..cut], dialect, request.kind(), &key, opaque);
                let Ok(Progress::Missing(count)) = progress else {
                    return Err(TestCaseError::fail(format!("cut at {cut}: {progress:?}")));
                };
                prop_assert!((1..=text.len() - cut).contains(&count), "{} at {}", count, cut);
            }
            if is_meta && !matches!(expected, Reply::Error(_)) {
                let other = read(&text, dialect, request.kind(), &key, opaque.wrapping_add(1));
                prop_assert_eq!(other, Err(BrokenReply::Opaque));
            }
        }
        prop_assert_eq!(asked, served);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        everywhere(&bytes);
    }

    #[test]
    fn words_in_any_order_are_read_or_refused(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..9),
    ) {
        everywhere(words.concat().as_bytes());
    }
}

const WORDS: &[&str] = &[
    "VALUE ",
    "key ",
    "kez",
    "0 ",
    "1 ",
    "3 ",
    "4294967295 ",
    "18446744073709551616",
    "-1",
    "\r\n",
    "\r",
    "\n",
    "a\r\n",
    "abc\r\n",
    "END\r\n",
    "STORED\r\n",
    "NOT_FOUND\r\n",
    "ERROR\r\n",
    "12\r\n",
    "CLIENT_ERROR no\r\n",
    "VA ",
    "HD ",
    "EN ",
    "NF ",
    "O7",
    "O8",
    " ",
    "f5 ",
    "c41 ",
    "cx",
    "W ",
    "STAT a b\r\n",
    "VERSION 1\r\n",
    "MN\r\n",
    "OK\r\n",
];

/// Reads `bytes` in every way.
fn everywhere(bytes: &[u8]) {
    for (kind, dialect) in KINDS.into_iter().flat_map(|kind| DIALECTS.map(|it| (kind, it))) {
        holds(bytes, |bytes| read(bytes, dialect, kind, b"key", 7));
    }
    holds(bytes, read_version);
    holds(bytes, read_meta_noop);
    holds(bytes, read_flush);
    holds(bytes, read_stat);
    holds(bytes, read_auth);
}

/// What must hold of `read`, a reader, wherever `bytes` are cut: what it says of a part it does not take
/// back, and what it says is missing is missing.
fn holds<'a, T: std::fmt::Debug + PartialEq>(
    bytes: &'a [u8],
    read: impl Fn(&'a [u8]) -> Result<ProgressOf<T>, BrokenReply>,
) {
    let whole = read(bytes);
    for cut in 0..bytes.len() {
        match (read(&bytes[..cut]), &whole) {
            (Ok(ProgressOf::Missing(count)), Ok(ProgressOf::Whole(_, length))) => {
                assert!(count > 0 && cut + count <= *length, "{count} missing at {cut}");
            }
            (Ok(ProgressOf::Missing(count)), _) => assert!(count > 0),
            (said, whole) => assert_eq!(said, *whole, "at {cut}"),
        }
    }
    if let Ok(ProgressOf::Whole(_, length)) = whole {
        assert!((1..=bytes.len()).contains(&length));
    }
}
