//! Lines, and the data behind them.

use super::ErrorReply;

/// The bytes are no reply to the request. The connection is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenReply {
    #[error("this begins no reply; is that a memcached?")]
    NoReply,
    #[error("a line does not end with CR LF")]
    LineEnd,
    #[error("a line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    #[error("a number is not one, or too great")]
    Number,
    #[error("a value does not end with CR LF")]
    DataEnd,
    #[error("the reply is not one to the request")]
    Unexpected,
    #[error("the value is that of another key")]
    Key,
    #[error("the reply does not repeat the opaque of the request")]
    Opaque,
    /// It says so to a new connection, and closes it (memcached 1.6.18 `memcached.c`, `maxconns_fast`).
    #[error("the node has too many connections")]
    TooManyConnections,
}

/// How much of a `T` has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressOf<T> {
    /// All of it, and how many bytes it has.
    Whole(T, usize),
    /// At least this many bytes more are needed, one or more.
    Missing(usize),
}

/// A line that is complete, or how much is missing of it at least.
pub(super) type Line<'a> = ProgressOf<&'a [u8]>;

/// No line of memcached's is half as long; a key has 250 bytes.
pub(super) const MAX_LINE: usize = 8 << 10;

/// The line at the start of `bytes`, without its end.
pub(super) fn line(bytes: &[u8]) -> Result<Line<'_>, BrokenReply> {
    // Nobody waits for the end of a line that will not be understood.
    if bytes.first().is_some_and(|byte| !byte.is_ascii_uppercase() && !byte.is_ascii_digit()) {
        return Err(BrokenReply::NoReply);
    }
    let searched = &bytes[..bytes.len().min(MAX_LINE)];
    match searched.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = searched[..end].strip_suffix(b"\r").ok_or(BrokenReply::LineEnd)?;
            Ok(ProgressOf::Whole(line, end + 1))
        }
        None if bytes.len() >= MAX_LINE => Err(BrokenReply::LineTooLong),
        None if bytes.ends_with(b"\r") => Ok(ProgressOf::Missing(1)),
        None => Ok(ProgressOf::Missing(2)),
    }
}

/// The `length` bytes at `start`, and where what follows their line end begins. `behind` is how long
/// the rest of the reply is.
///
/// # Errors
///
/// If no line end follows them.
pub(super) fn data(
    bytes: &[u8],
    start: usize,
    length: usize,
    behind: usize,
) -> Result<ProgressOf<&[u8]>, BrokenReply> {
    // A length is a `u32`: only where `usize` is one too can this be too much.
    let end = start.checked_add(length).and_then(|end| end.checked_add(2 + behind));
    let end = end.ok_or(BrokenReply::Number)? - behind;
    let Some(block) = bytes.get(start..end) else {
        return Ok(ProgressOf::Missing(end - bytes.len() + behind));
    };
    let data = block.strip_suffix(b"\r\n").ok_or(BrokenReply::DataEnd)?;
    Ok(ProgressOf::Whole(data, end))
}

/// The error that `line` is, if it is one.
pub(super) fn error(line: &[u8]) -> Result<Option<ErrorReply<'_>>, BrokenReply> {
    let (word, text) = match line.iter().position(|&byte| byte == b' ') {
        Some(end) => (&line[..end], &line[end + 1..]),
        None => (line, &[][..]),
    };
    match word {
        b"ERROR" if text.starts_with(b"Too many") => Err(BrokenReply::TooManyConnections),
        b"ERROR" => Ok(Some(ErrorReply::Unknown)),
        b"CLIENT_ERROR" => Ok(Some(ErrorReply::Client(text))),
        b"SERVER_ERROR" => Ok(Some(ErrorReply::Server(text))),
        _ => Ok(None),
    }
}

/// Reads a number as memcached writes one: digits, the first of several not 0.
pub(super) fn decimal(text: &[u8]) -> Result<u64, BrokenReply> {
    if text.is_empty() || text.len() > 1 && text[0] == b'0' {
        return Err(BrokenReply::Number);
    }
    let mut number: u64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        let next = number.checked_mul(10).and_then(|number| number.checked_add(digit.into()));
        number = next.filter(|_| digit < 10).ok_or(BrokenReply::Number)?;
    }
    Ok(number)
}

/// Reads flags, an opaque or a length.
pub(super) fn decimal_u32(text: &[u8]) -> Result<u32, BrokenReply> {
    u32::try_from(decimal(text)?).map_err(|_| BrokenReply::Number)
}

/// Appends `number`.
pub(super) fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    // As many digits as the greatest has, filled from the end.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written(number: u64) {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            prop_assert_eq!(&out, &number.to_string().into_bytes());
            prop_assert_eq!(decimal(&out), Ok(number));
        }

        #[test]
        fn only_what_is_written_is_a_number(text in "[-+ 0-9a]{0,22}") {
            let expected = text.parse().ok().filter(|number: &u64| number.to_string() == text);
            prop_assert_eq!(decimal(text.as_bytes()).ok(), expected);
        }
    }

    #[test]
    fn a_number_has_64_bits() {
        assert_eq!(decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), Err(BrokenReply::Number));
        assert_eq!(decimal_u32(b"4294967295"), Ok(u32::MAX));
        assert_eq!(decimal_u32(b"4294967296"), Err(BrokenReply::Number));
    }

    #[test]
    fn a_line_has_at_most_8_kib() {
        let text = vec![b'A'; MAX_LINE - 2];
        let fits = [&text[..], b"\r\n"].concat();
        assert_eq!(line(&fits), Ok(ProgressOf::Whole(&text[..], MAX_LINE)));
        assert_eq!(line(&fits[..MAX_LINE - 1]), Ok(ProgressOf::Missing(1)));
        let longer = [&text[..], b"A\r\n"].concat();
        assert_eq!(line(&longer[..MAX_LINE - 1]), Ok(ProgressOf::Missing(2)));
        assert_eq!(line(&longer[..MAX_LINE]), Err(BrokenReply::LineTooLong));
        assert_eq!(line(&longer), Err(BrokenReply::LineTooLong));
    }

    #[test]
    fn a_line_begins_with_a_word_or_a_number_and_ends_with_cr_lf() {
        for bytes in [&b"-ERR\r\n"[..], b"\r\n", b"\x81\0", b" END\r\n"] {
            assert_eq!(line(bytes), Err(BrokenReply::NoReply));
        }
        assert_eq!(line(b"END\n"), Err(BrokenReply::LineEnd));
        assert_eq!(line(b"E\rND\r\n"), Ok(ProgressOf::Whole(&b"E\rND"[..], 6)));
    }

    #[test]
    fn lengths_beyond_memory_are_no_panic() {
        assert_eq!(data(b"", 9, usize::MAX - 9, 5), Err(BrokenReply::Number));
        assert_eq!(data(b"abc", 1, 7, 5), Ok(ProgressOf::Missing(12)));
        assert_eq!(data(b"abc\r\n", 0, 3, 5), Ok(ProgressOf::Whole(&b"abc"[..], 5)));
        assert_eq!(data(b"abcd\n", 0, 3, 5), Err(BrokenReply::DataEnd));
    }
}
