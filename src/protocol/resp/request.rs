//! Requests, read: a command as slices of its bytes.

use super::line::length;

/// Why bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// The bytes end inside a command.
    #[error("the command is cut off")]
    Incomplete,
    /// A command is an array of bulk strings, and this is not.
    #[error("the command is not an array of bulk strings")]
    Malformed,
}

/// Reads the command at the start of `bytes`: appends its arguments to `args`, and returns its length.
///
/// # Errors
///
/// If the bytes are not a whole command.
pub(crate) fn request<'b>(
    bytes: &'b [u8],
    args: &mut Vec<&'b [u8]>,
) -> Result<usize, RequestError> {
    let mut rest = bytes;
    let count = number(&mut rest, b'*')?;
    if count > rest.len() {
        // Each argument takes more than a byte.
        return Err(RequestError::Incomplete);
    }
    for _ in 0..count {
        let length = number(&mut rest, b'$')?;
        let argument = rest.get(..length).ok_or(RequestError::Incomplete)?;
        match &rest[length..] {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Err(RequestError::Incomplete),
            _ => return Err(RequestError::Malformed),
        }
        args.push(argument);
    }
    Ok(bytes.len() - rest.len())
}

/// Reads the command at the start of `bytes`, which end within the bytes of its last argument: appends its arguments to
/// `args`, the last as far as it is there, and returns the length of the whole. `None` if they end elsewhere, or this is
/// no command.
#[cfg(feature = "proxy")]
pub(crate) fn cut_request<'b>(bytes: &'b [u8], args: &mut Vec<&'b [u8]>) -> Option<usize> {
    let mut rest = bytes;
    let count = number(&mut rest, b'*').ok()?;
    for place in 1..=count {
        let length = number(&mut rest, b'$').ok()?;
        if place == count && rest.len() <= length {
            args.push(rest);
            return (bytes.len() - rest.len()).checked_add(length)?.checked_add(2);
        }
        args.push(rest.get(..length)?);
        rest = rest[length..].strip_prefix(b"\r\n")?;
    }
    None
}

/// Reads a line of `kind` and a number, and moves `bytes` behind it.
#[inline]
fn number(bytes: &mut &[u8], kind: u8) -> Result<usize, RequestError> {
    let (first, line) = bytes.split_first().ok_or(RequestError::Incomplete)?;
    if *first != kind {
        return Err(RequestError::Malformed);
    }
    let (end, number) =
        length(line).map_err(|_| RequestError::Malformed)?.ok_or(RequestError::Incomplete)?;
    *bytes = &line[end + 2..];
    number.and_then(|number| usize::try_from(number).ok()).ok_or(RequestError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resp::write_array_header;
    use crate::protocol::resp::write_bulk_string;

    fn read(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), RequestError> {
        let mut args = Vec::new();
        let length = request(bytes, &mut args)?;
        Ok((args.into_iter().map(<[u8]>::to_vec).collect(), length))
    }

    #[test]
    fn what_is_no_command_is_refused() {
        use RequestError::*;
        for (bytes, error) in [
            (&b""[..], Incomplete),
            (b"GET a\r\n", Malformed),
            (b"*\r\n", Malformed),
            (b"*-1\r\n", Malformed),
            (b"*99999999999999999999999\r\n", Malformed),
            (b"*999999999999999999\r\n$1\r\na\r\n", Incomplete),
            (b"*1\r\n:1\r\n", Malformed),
            (b"*1\r\n$-1\r\n", Malformed),
            (b"*1\r\n$1\r\nab\r\n", Malformed),
            (b"*1\r$1\r\na\r\n", Malformed),
            (b"*1\r\n$999999999999999999\r\na\r\n", Incomplete),
        ] {
            assert_eq!(read(bytes), Err(error), "{}", bytes.escape_ascii());
        }
        assert_eq!(read(b"*0\r\n"), Ok((vec![], 4)));
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn a_command_is_read_that_ends_within_its_last_argument() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$2\r\nab\r\n$5\r\n12345\r\n";
        let start = bytes.len() - "12345\r\n".len();
        for cut in 0..=bytes.len() {
            let mut args = Vec::new();
            let length = cut_request(&bytes[..cut], &mut args);
            let is_read = (start..=start + 5).contains(&cut);
            assert_eq!(length, is_read.then_some(bytes.len()), "{cut}");
            if is_read {
                assert_eq!(args, [&b"SET"[..], b"ab", &bytes[start..cut]]);
            }
        }
        for bytes in [&b"*0\r\n"[..], b"SET a b", b"*2\r\n$3\r\nGETxx$5\r\na", b"*1\r\n:5\r\na"] {
            assert!(cut_request(bytes, &mut Vec::new()).is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read_and_every_cut_is_incomplete(
            args: Vec<Vec<u8>>,
            behind: Vec<u8>,
        ) {
            let mut bytes = Vec::new();
            write_array_header(&mut bytes, args.len());
            for argument in &args {
                write_bulk_string(&mut bytes, argument);
            }
            let length = bytes.len();
            for cut in 0..length {
                proptest::prop_assert_eq!(read(&bytes[..cut]), Err(RequestError::Incomplete));
            }
            bytes.extend(behind);
            proptest::prop_assert_eq!(read(&bytes), Ok((args, length)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
