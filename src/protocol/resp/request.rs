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
