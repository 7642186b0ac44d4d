//! Requests of clients.

use std::borrow::Cow;

use proptest::prelude::*;

use super::super::scanner::BrokenRequest;
use super::super::*;
use super::text;

/// What is sent on for the first of `bytes`, which are one whole request or more.
fn sent(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let Ok(Arrival::Whole(request)) = RequestScanner::default().read(bytes) else {
        panic!("no whole request: {}", text(bytes));
    };
    let bytes = &bytes[..request.length];
    let mut out = Vec::new();
    request.write_forward(bytes, &mut out);
    assert!(!request.is_verbatim() || out == bytes);
    let reread = RequestScanner::default().read(&out);
    let Ok(Arrival::Whole(again)) = reread else { panic!("{}: {reread:?}", text(&out)) };
    assert!(again.is_verbatim() && !again.is_silent, "{}", text(&out));
    assert_eq!(again.length, out.len());
    text(&out)
}

fn whole(bytes: &[u8]) -> Request<'_> {
    match RequestScanner::default().read(bytes) {
        Ok(Arrival::Whole(request)) => request,
        other => panic!("{}: {other:?}", text(bytes)),
    }
}

/// Why the first request of `bytes` is refused, whether that is said, and how many bytes are passed over.
fn refused(bytes: &[u8]) -> (Refusal, bool, usize) {
    match RequestScanner::default().read(bytes) {
        Ok(Arrival::Refused { refusal, is_silent, length }) => (refusal, is_silent, length),
        other => panic!("{}: {other:?}", text(bytes)),
    }
}

#[test]
fn what_has_one_reply_is_sent_on_as_it_came() {
    for request in [
        "get foo\r\n",
        "get  foo bar  \r\n",
        "gets foo noreply\r\n",
        "gat -1 foo\r\n",
        "gats 0 foo bar\r\n",
        "set foo 4294967295 -1 3\r\na\r\n\r\n",
        "add foo 0 0 0\r\n\r\n",
        "replace foo 0 9999999999 01\r\na\r\n",
        "append foo 0 0 1 blah\r\na\r\n",
        "prepend foo 0 0 1\r\na\r\n",
        "cas foo 0 0 1 18446744073709551615\r\na\r\n",
        "delete foo\r\n",
        "delete noreply\r\n",
        "delete foo 0\r\n",
        "incr foo 1\r\n",
        "incr foo what\r\n",
        "decr foo 1\r\n",
        "touch foo -1\r\n",
        "mg foo\r\n",
        "mg qqq v k\r\n",
        "ms foo 1 T0 c\r\na\r\n",
        "md foo I\r\n",
        "ma foo N0 J5\r\n",
        "me foo q\r\n",
        "mn\r\n",
        "version\r\n",
        "quit\r\n",
        "verbosity 1\r\n",
        "flush_all\r\n",
        "flush_all 10\r\n",
        "stats\r\n",
        "stats items noreply\r\n",
    ] {
        assert!(whole(request.as_bytes()).is_verbatim(), "{request}");
        assert_eq!(sent(request), text(request.as_bytes()));
        assert_eq!(sent(format!("{request}behind")), text(request.as_bytes()));
    }
}

#[test]
fn what_would_have_no_reply_is_sent_so_that_it_has_one() {
    for (request, is_silent, expected) in [
        ("set foo 0 0 1 noreply\r\na\r\n", true, "set foo 0 0 1\r\na\r\n"),
        ("cas foo 0 0 1 5 noreply  \r\na\r\n", true, "cas foo 0 0 1 5\r\na\r\n"),
        ("delete foo noreply\r\n", true, "delete foo\r\n"),
        ("delete foo 0 noreply\r\n", true, "delete foo 0\r\n"),
        ("delete noreply noreply\r\n", true, "delete noreply\r\n"),
        ("delete foo  noreply  noreply\r\n", true, "delete foo\r\n"),
        ("incr foo 1 noreply\r\n", true, "incr foo 1\r\n"),
        ("touch foo 0 noreply\r\n", true, "touch foo 0\r\n"),
        ("verbosity 1 noreply\r\n", true, "verbosity 1\r\n"),
        ("flush_all noreply\r\n", true, "flush_all\r\n"),
        ("flush_all 0 noreply\r\n", true, "flush_all 0\r\n"),
        ("mg foo v q k\r\n", false, "mg foo v k\r\n"),
        ("mg q  q\r\n", false, "mg q\r\n"),
        ("  ms q 1 q T0 qq\r\na\r\n", false, "ms q 1 T0\r\na\r\n"),
        ("md foo q\r\n", false, "md foo\r\n"),
        ("ma foo q v\r\n", false, "ma foo v\r\n"),
        // What servers other than memcached might not take.
        (" get foo\r\n", false, "get foo\r\n"),
        (" get foo \r\n", false, "get foo\r\n"),
        (" set foo 0 0 1\r\na\r\n", false, "set foo 0 0 1\r\na\r\n"),
    ] {
        assert!(!whole(request.as_bytes()).is_verbatim(), "{request}");
        assert_eq!(whole(request.as_bytes()).is_silent, is_silent, "{request}");
        assert_eq!(sent(request), text(expected.as_bytes()));
    }
}

#[test]
fn requests_are_refused_in_the_words_of_memcached() {
    use Refusal::*;
    let long = "k".repeat(251);
    for (request, refusal) in [
        ("", Unknown),
        ("  ", Unknown),
        ("blah", Unknown),
        ("blah noreply", Unknown),
        ("GET foo", Unknown),
        ("get\tfoo", Unknown),
        ("get", Unknown),
        ("get  ", Unknown),
        ("gat", Unknown),
        ("gat 0", Unknown),
        ("gat x foo", Expiration),
        ("gat 99999999999999999999 foo", Expiration),
        (&format!("get {long}"), Format),
        (&format!("get foo {long}"), Format),
        ("get f\x01o", Format),
        ("get f\to", Format),
        ("get fo\ro", Format),
        ("get f\0o", Format),
        // A bare line feed ends no line.
        ("get f\nflush_all", Format),
        ("get f\x7fo", Format),
        ("set", Unknown),
        ("set foo 0 0", Unknown),
        ("set foo 0 0 x", Format),
        ("set foo 0 0 -1", Format),
        ("set foo 0 0 +3", Format),
        ("set foo 0 0 3x", Format),
        ("delete", Unknown),
        ("delete foo 0 0 0", Unknown),
        (&format!("delete {long}"), Format),
        ("incr foo", Unknown),
        ("touch foo", Unknown),
        ("verbosity", Unknown),
        ("verbosity 1 2 3 4", Unknown),
        ("flush_all 1 2 noreply", Unknown),
        ("mg", Unknown),
        ("ms", Unknown),
        ("ms foo", Format),
        ("ms foo S3", Format),
        ("ms foo -1", Format),
        ("me", Format),
        (&format!("mg {long}"), Format),
        ("mg Zm9 b", Base64),
        ("mg foo \x01", Format),
        ("stats \x01", Format),
    ] {
        let bytes = format!("{request}\r\nget foo\r\n");
        assert_eq!(refused(bytes.as_bytes()), (refusal, false, request.len() + 2));
    }
    // What is left without the last word has too few.
    for request in ["incr foo noreply", "touch foo noreply noreply", "verbosity noreply"] {
        let bytes = format!("{request}\r\n");
        assert_eq!(refused(bytes.as_bytes()), (Format, true, bytes.len()));
    }
    let line = |refusal: Refusal| text(refusal.line());
    assert_eq!(line(Unknown), r"ERROR\r\n");
    assert_eq!(line(Format), r"CLIENT_ERROR bad command line format\r\n");
    assert_eq!(line(TooLarge), r"SERVER_ERROR object too large for cache\r\n");
}

#[test]
fn a_value_is_swallowed_when_its_line_is_refused() {
    use Refusal::*;
    let long = "k".repeat(251);
    let flags = "k ".repeat(17);
    for (line, refusal, is_silent) in [
        (&*format!("set {long} 0 0 9"), Format, false),
        (&*format!("set {long} 0 0 9 noreply"), Format, true),
        ("set f\x01o 0 0 9", Format, false),
        ("set foo a 0 9", Format, false),
        ("set foo 4294967296 0 9", Format, false),
        ("set foo 0 x 9", Format, false),
        ("set foo 0 0 9 x noreply", Unknown, false),
        ("cas foo 0 0 9", Unknown, false),
        ("cas foo 0 0 9 noreply", Format, true),
        ("cas foo 0 0 9 x", Format, false),
        (&*format!("ms {long} 9 q"), Format, false),
        ("ms f\x01o 9", Format, false),
        ("ms foo! 9 b", Base64, false),
        (&*format!("ms foo 9 {flags}"), Flags, false),
        (&*format!("set foo 0 0 9 {}", "x".repeat(2048)), LineTooLong, false),
    ] {
        let bytes = format!("{line}\r\nflush_all\r\nget foo\r\n");
        let length = line.len() + 2 + 11;
        assert_eq!(refused(bytes.as_bytes()), (refusal, is_silent, length), "{line}");
        // Even if it has not come.
        assert_eq!(refused(&bytes.as_bytes()[..line.len() + 2]).2, length);
    }
    assert_eq!(refused(b"set foo 0 0 1073741825\r\n"), (TooLarge, false, 24 + 1073741827));
    assert_eq!(refused(b"ms foo 1073741825\r\n").0, TooLarge);
    assert_eq!(refused(b"set foo 0 0 18446744073709551615\r\n"), (TooLarge, false, usize::MAX));
    assert_eq!(refused(b"set foo 0 0 18446744073709551616\r\n"), (Format, false, 34));
}

#[test]
fn a_value_ends_with_cr_lf() {
    for (bytes, is_silent, length) in [
        (&b"set foo 0 0 3\r\nbarbar\r\n"[..], false, 20),
        (b"set foo 0 0 3\r\nba\r\nget foo\r\n", false, 20),
        (b"set foo 0 0 3 noreply\r\nbar\n\n", true, 28),
        (b"ms foo 3 q\r\nabcdefgh\r\n", false, 17),
    ] {
        assert_eq!(refused(bytes), (Refusal::DataChunk, is_silent, length), "{}", text(bytes));
    }
}

#[test]
fn a_value_on_its_way_is_waited_for_exactly() {
    let bytes = b"set foo 0 0 10 noreply\r\n0123456789\r\n";
    let mut scanner = RequestScanner::default();
    for end in 24..bytes.len() {
        let Ok(Arrival::Begun(request)) = scanner.read(&bytes[..end]) else { panic!("{end}") };
        assert_eq!((request.length, request.line_length), (bytes.len(), 24));
        let mut line = Vec::new();
        request.write_line(&bytes[..end], &mut line);
        assert_eq!(text(&line), r"set foo 0 0 10\r\n");
    }
    assert!(matches!(scanner.read(bytes), Ok(Arrival::Whole(_))));
}

#[test]
fn keys_are_read_and_written() {
    let request = whole(b"gats 60  a b a \r\n");
    let Command::Retrieve(retrieve) = request.command else { panic!("{request:?}") };
    assert_eq!((retrieve.name, retrieve.key_count), (RetrieveName::Gats, 3));
    let keys: Vec<_> = retrieve.keys().collect();
    assert_eq!(keys, [b"a", b"b", b"a"]);
    let mut out = Vec::new();
    retrieve.write_fragment(&mut out, retrieve.keys().take(2));
    assert_eq!(text(&out), r"gats 60 a b\r\n");

    let Command::Retrieve(retrieve) = whole(b"get k1 k2 k3\r\n").command else { panic!() };
    let mut out = Vec::new();
    retrieve.write_fragment(&mut out, retrieve.keys().step_by(2));
    assert_eq!(text(&out), r"get k1 k3\r\n");
}

#[test]
fn a_key_in_base64_goes_where_the_item_is() {
    let Command::Meta(meta) = whole(b"mg Zm9v v b q\r\n").command else { panic!() };
    assert_eq!((meta.key, &*meta.routing_key), (&b"Zm9v"[..], &b"foo"[..]));
    assert_eq!((&meta.name, meta.quiet), (b"mg", Some(Quiet::Get)));
    let Command::Meta(meta) = whole(b"mg foo v\r\n").command else { panic!() };
    assert!(matches!(meta.routing_key, Cow::Borrowed(b"foo")));
    assert_eq!(meta.quiet, None);
}

#[test]
fn a_quiet_request_hides_what_memcached_hides() {
    for (quiet, hidden) in [
        (Quiet::Get, &["EN\r\n"][..]),
        (Quiet::Store, &["HD\r\n", "HD kfoo O7\r\n"]),
        (Quiet::Delete, &["HD\r\n", "HD kfoo O7\r\n"]),
        (Quiet::Arithmetic, &["HD\r\n", "HD kfoo O7\r\n", "VA 1\r\n5\r\n"]),
    ] {
        for reply in [
            "EN\r\n",
            "HD\r\n",
            "HD kfoo O7\r\n",
            "VA 1\r\n5\r\n",
            "NF\r\n",
            "NS\r\n",
            "EX\r\n",
            "ERROR\r\n",
            "CLIENT_ERROR no\r\n",
            "SERVER_ERROR no\r\n",
            "END\r\n",
            "HDD\r\n",
            "",
        ] {
            assert_eq!(quiet.hides(reply.as_bytes()), hidden.contains(&reply), "{quiet:?} {reply}");
        }
    }
}

#[test]
fn lines_have_limits() {
    let read =
        |bytes: &[u8]| RequestScanner::default().read(bytes).map(|arrival| text_of(&arrival));
    // What is sent on in one piece has to suit the node.
    let delete = |length: usize| format!("delete k{}\r\n", " ".repeat(length - 10)).into_bytes();
    assert!(whole(&delete(2048)).is_verbatim());
    assert_eq!(refused(&delete(2049)).0, Refusal::LineTooLong);
    let gat = format!("gat 0 {}\r\n", "key ".repeat(600)).into_bytes();
    assert_eq!(refused(&gat).0, Refusal::LineTooLong);

    for end in [1 << 16, 70_000] {
        assert_eq!(read(&vec![b'x'; end]), Err(BrokenRequest::LineTooLong));
        assert_eq!(
            read(&[&vec![b'x'; end][..], b"\r\n"].concat()),
            Err(BrokenRequest::LineTooLong)
        );
    }
    assert_eq!(read(&[b'x'; (1 << 16) - 1]), read(b"x"));
    assert_eq!(refused(&[&[b'x'; (1 << 16) - 2][..], b"\r\n"].concat()).0, Refusal::Unknown);

    let keys = "gets ".to_owned() + &"key ".repeat(1 << 20);
    assert!(matches!(
        whole((keys.clone() + "\r\n").as_bytes()).command,
        Command::Retrieve(Retrieve { key_count: 1_048_576, .. })
    ));
    assert_eq!(read(keys.repeat(2).as_bytes()), Err(BrokenRequest::LineTooLong));
    assert_eq!(read((keys.repeat(2) + "\r\n").as_bytes()), Err(BrokenRequest::LineTooLong));
}

#[test]
fn other_protocols_are_no_requests() {
    let read =
        |bytes: &[u8]| RequestScanner::default().read(bytes).map(|arrival| text_of(&arrival));
    assert_eq!(read(b"\x80\x0a\0\0"), Err(BrokenRequest::Binary));
    assert_eq!(read(b"\x80"), Err(BrokenRequest::Binary));
    assert_eq!(read(b"GET / HTTP/1.1\r\nHost: x\r\n"), Err(BrokenRequest::Http));
    assert_eq!(read(b"POST /set HTTP/1.1\r\n"), Err(BrokenRequest::Http));
    for broken in [BrokenRequest::Binary, BrokenRequest::Http, BrokenRequest::LineTooLong] {
        assert!(broken.line().starts_with(b"CLIENT_ERROR ") && broken.line().ends_with(b"\r\n"));
    }
}

fn text_of(arrival: &Arrival<'_>) -> String {
    format!("{arrival:?}")
}

/// Checks that the guess at what `bytes` begin with is right, and that the keys are those of the line.
fn guess(bytes: &[u8]) {
    let said = |mut scanner: RequestScanner| {
        let mut keys = vec![&b"of an earlier request"[..]];
        match scanner.read_with_keys(bytes, &mut keys) {
            Ok(Arrival::Whole(Request {
                command: Command::Retrieve(retrieve), length, ..
            })) => {
                assert!(retrieve.keys().eq(keys.iter().copied()), "{keys:?}");
                assert_eq!(keys.len(), retrieve.key_count);
                format!("{keys:?} {:?} {length}", (retrieve.name, retrieve.expiration))
            }
            arrival => format!("{arrival:?}"),
        }
    };
    let guessed = said(RequestScanner::default());
    if usual::read(bytes, &mut Vec::new()).is_some() {
        // It looks for the end of the line from its start on, but does not guess.
        assert_eq!(guessed, said(RequestScanner::having_searched(1)));
    }
}

/// What stands in requests, mostly whole ones.
const WORDS: &[&str] = &[
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
    "md a\r\n",
    "set ",
    "a ",
    "0 ",
    "3 ",
    "-1 ",
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
    "\u{80}",
    "version\r\n",
    "flush_all noreply\r\n",
    "stats\r\n",
    "verbosity ",
];

proptest! {
    #[test]
    fn guesses_are_right(
        name in "get |set ",
        words in prop::collection::vec("[a-c]{1,12}|[0-9]{1,11}|k{249,252}|-1|\u{1}|\u{7f}|noreply", 1..7),
        end in "\r\n|\n| \r\n|\r| ",
        value in "[a\r\n]{0,12}",
    ) {
        let bytes = (name + &words.join(" ") + &end + &value).into_bytes();
        for cut in 0..=bytes.len() {
            guess(&bytes[..cut]);
        }
    }

    #[test]
    fn any_cut_gives_the_same(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..14),
        sizes in prop::collection::vec(1usize..9, 0..80),
    ) {
        let bytes = words.concat().into_bytes();
        prop_assert_eq!(all(&bytes, &sizes), all(&bytes, &[]));
        guess(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(prop_oneof![32u8..127, any::<u8>(), Just(b'\n')], 0..80),
    ) {
        prop_assert_eq!(all(&bytes, &[1; 80]), all(&bytes, &[]));
    }
}

/// What is read of `bytes`, which come in pieces of these sizes and a last one.
fn all(bytes: &[u8], sizes: &[usize]) -> Vec<String> {
    let mut scanner = RequestScanner::default();
    let (mut start, mut end, mut said) = (0, 0, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        end = sizes.next().map_or(bytes.len(), |size| bytes.len().min(end + size));
        while start <= end {
            let arrival = match scanner.read(&bytes[start..end]) {
                Ok(arrival) => arrival,
                Err(broken) => {
                    said.push(format!("{broken:?}"));
                    return said;
                }
            };
            start += match &arrival {
                Arrival::Whole(request) => {
                    said.push(sent(&bytes[start..start + request.length]));
                    request.length
                }
                Arrival::Refused { length, .. } => {
                    said.push(text_of(&arrival));
                    *length
                }
                Arrival::Begun(request) => {
                    assert!(end - start < request.length);
                    break;
                }
                Arrival::Missing(count) => {
                    assert!(*count > 0);
                    break;
                }
            };
        }
        if end == bytes.len() {
            return said;
        }
    }
}
