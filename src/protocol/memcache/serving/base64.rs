//! Keys of the meta protocol that are written in base64, read.

/// The bytes that `text` stands for: the alphabet with `+` and `/`, filled up with `=`.
///
/// Memcached itself (1.6.18, `base64.c`) passes over what follows a group that is filled up, and reads
/// `Zm=v` as something. No encoder writes such text, and here it is refused. That the last digit may have
/// bits that do not count (`Zh==` for `Zg==`) it allows, and so do we: the key is the same then.
///
/// `None` if it is no such text, or stands for nothing.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, []) = text.as_chunks::<4>() else {
        return None;
    };
    let (last, groups) = groups.split_last()?;
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in groups {
        out.extend_from_slice(&bytes(group)?);
    }
    match last {
        [first, second, b'=', b'='] => {
            out.extend_from_slice(&bytes(&[*first, *second, b'A', b'A'])?[..1]);
        }
        [first, second, third, b'='] => {
            out.extend_from_slice(&bytes(&[*first, *second, *third, b'A'])?[..2]);
        }
        whole => out.extend_from_slice(&bytes(whole)?),
    }
    Some(out)
}

/// The three bytes that four digits stand for.
fn bytes(digits: &[u8; 4]) -> Option<[u8; 3]> {
    let mut number = 0;
    for digit in digits {
        number = number << 6 | u32::from(value(*digit)?);
    }
    let [_, bytes @ ..] = number.to_be_bytes();
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// Bit by bit.
    fn encode(bytes: &[u8]) -> Vec<u8> {
        let bits: Vec<u8> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let digits = bits.chunks(6).map(|bits| {
            let number = (0..6).fold(0, |number, bit| number << 1 | bits.get(bit).unwrap_or(&0));
            DIGITS[usize::from(number)]
        });
        let mut text: Vec<u8> = digits.collect();
        text.resize(text.len().next_multiple_of(4), b'=');
        text
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 1..30)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_decoded_is_encoded_so_but_for_bits_that_do_not_count(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                let again = encode(&bytes);
                let end = text.trim_end_matches('=').len() - 1;
                prop_assert_eq!(&again[..end], &text.as_bytes()[..end]);
                prop_assert_eq!(&again[end + 1..], &text.as_bytes()[end + 1..]);
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "", "Z", "Zm", "Zm9", "Zm9vYg", "Zm9vYg=", "====", "Zm9v====", "Zg==Zg==", "Zm=v",
            "Z===", "Zm9-", "Zm9_", "foo!", "Zm9\u{1}", "=m9v",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decode(b"Zm9v").as_deref(), Some(&b"foo"[..]));
        assert_eq!(decode(b"Zm9vYg==").as_deref(), Some(&b"foob"[..]));
        assert_eq!(decode(b"Zm9vYh==").as_deref(), Some(&b"foob"[..]));
    }
}
