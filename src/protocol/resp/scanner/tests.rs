use proptest::prelude::*;

use super::*;

/// Replies of any shape, as bytes.
pub(crate) fn replies() -> impl Strategy<Value = Vec<u8>> {
    let line = |kind: char, text: String| format!("{kind}{text}\r\n").into_bytes();
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(move |text| line('+', text)),
        "[A-Z]{1,9}( [ -~]{0,20})?".prop_map(move |text| line('-', text)),
        any::<i64>().prop_map(move |number| line(':', number.to_string())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| string('$', &bytes)),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"*0\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        Just(b"#t\r\n".to_vec()),
        Just(b"#f\r\n".to_vec()),
        any::<i32>().prop_map(move |number| line(',', format!("{number}.5"))),
        Just(b",inf\r\n".to_vec()),
        any::<i128>().prop_map(move |number| line('(', number.to_string())),
        "(txt|mkd):[ -~]{0,20}".prop_map(|text| string('=', text.as_bytes())),
        "[A-Z]{1,9} [ -~]{0,20}".prop_map(|text| string('!', text.as_bytes())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let many = prop::collection::vec(inner.clone(), 0..6);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            (prop::sample::select(vec!['*', '~']), many).prop_map(|(kind, replies)| {
                let mut bytes = format!("{kind}{}\r\n", replies.len()).into_bytes();
                bytes.extend(replies.into_iter().flatten());
                bytes
            }),
            pairs.prop_map(|pairs| {
                let mut bytes = format!("%{}\r\n", pairs.len()).into_bytes();
                for (key, value) in pairs {
                    bytes.extend(key);
                    bytes.extend(value);
                }
                bytes
            }),
            (inner.clone(), inner.clone(), inner).prop_map(|(key, value, reply)| {
                [b"|1\r\n".to_vec(), key, value, reply].concat()
            }),
        ]
    })
}

fn string(kind: char, bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{kind}{}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

proptest! {
    #[test]
    fn the_end_is_found_however_the_input_is_cut(
        first in replies(),
        second in replies(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes = [first.clone(), second.clone()].concat();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut scanner = Scanner::default();
        let mut lengths = Vec::new();
        let mut start = 0;
        for cut in cuts {
            while let Some(length) = scanner.scan(&bytes[start..cut]).unwrap() {
                lengths.push(length);
                start += length;
            }
            if start < bytes.len() {
                let missing = scanner.missing(&bytes[start..cut]);
                prop_assert!(missing >= 1 && cut + missing <= bytes.len());
            }
        }
        prop_assert_eq!(lengths, vec![first.len(), second.len()]);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces: Vec<Vec<u8>>) {
        let mut scanner = Scanner::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(piece);
            match scanner.scan(&bytes) {
                Ok(None) => {
                    scanner.missing(&bytes);
                }
                Ok(Some(length)) => {
                    prop_assert!(length > 0 && length <= bytes.len());
                    bytes.drain(..length);
                }
                Err(_) => break,
            }
        }
    }
}

#[test]
fn what_is_no_reply_is_refused() {
    let long = [b"+", vec![b'a'; MAX_LINE + 1].as_slice()].concat();
    let deep = b"*1\r\n".repeat(MAX_DEPTH);
    for (bytes, error) in [
        (&b"HTTP/1.1"[..], BrokenFrame::Kind(b'H')),
        (b"\r\n", BrokenFrame::Kind(b'\r')),
        (b"$x\r\n", BrokenFrame::Length),
        (b"$\r\n", BrokenFrame::Length),
        (b"$-\r\n", BrokenFrame::Length),
        (b"*-0\r\n", BrokenFrame::Length),
        (b"*9999999999999999999\r\n", BrokenFrame::Length),
        (b"$1\r\nabc", BrokenFrame::StringEnd),
        (b"$999999999999\r\n", BrokenFrame::StringTooLong),
        (&long, BrokenFrame::LineTooLong),
        (&deep, BrokenFrame::TooDeep),
    ] {
        assert_eq!(Scanner::default().scan(bytes), Err(error));
    }
}

#[test]
fn a_huge_count_costs_nothing() {
    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(b"*999999999999999999\r\n:1\r\n"), Ok(None));
}
