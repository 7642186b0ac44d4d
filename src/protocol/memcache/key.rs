//! Keys that both protocols can carry.

/// As long as memcached 1.6 takes keys (`memcached.h` `KEY_MAX_LENGTH`).
pub(super) const MAX_LENGTH: usize = 250;

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    #[error("the key is empty")]
    Empty,
    /// It has this many bytes.
    #[error("the key has {0} bytes, more than {MAX_LENGTH}")]
    TooLong(usize),
    /// The byte at this place would end the key, or the line.
    #[error("byte {place} of the key is a space or a control character")]
    Forbidden { place: usize },
}

/// Checks that `key` can stand in a line of memcached's.
///
/// The server itself refuses less: it takes control characters that are no line end. No client should
/// write them, and a line end would begin another request.
///
/// # Errors
///
/// If it is empty, longer than 250 bytes, or has a space or a control character of ASCII in it.
pub(crate) fn check_key(key: &[u8]) -> Result<(), BadKey> {
    if key.is_empty() {
        return Err(BadKey::Empty);
    }
    if key.len() > MAX_LENGTH {
        return Err(BadKey::TooLong(key.len()));
    }
    match key.iter().position(|&byte| byte <= b' ' || byte == 0x7f) {
        Some(place) => Err(BadKey::Forbidden { place }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_1_to_250_bytes() {
        assert_eq!(check_key(b""), Err(BadKey::Empty));
        assert_eq!(check_key(b"k"), Ok(()));
        assert_eq!(check_key(&[b'k'; 250]), Ok(()));
        assert_eq!(check_key(&[b'k'; 251]), Err(BadKey::TooLong(251)));
    }

    #[test]
    fn every_other_byte_than_spaces_and_control_characters_is_allowed() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                0..=0x20 | 0x7f => Err(BadKey::Forbidden { place: 1 }),
                _ => Ok(()),
            };
            assert_eq!(check_key(&[b'k', byte, byte]), expected, "{byte}");
        }
    }

    #[test]
    fn messages_do_not_show_the_key() {
        let shown = [b"secret key".to_vec(), b"secret".repeat(50)];
        let shown = shown.map(|key| check_key(&key).unwrap_err().to_string());
        assert_eq!(
            shown,
            [
                "byte 6 of the key is a space or a control character",
                "the key has 300 bytes, more than 250"
            ]
        );
    }
}
