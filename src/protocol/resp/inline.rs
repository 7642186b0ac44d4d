//! Inline commands: a command as a line of words, which people type and scripts pipe into a Redis.

/// As long as Redis waits for the end of a line (7.0 `server.h` `PROTO_INLINE_MAX_SIZE`).
const MAX_LINE: usize = 64 << 10;

/// The bytes are no inline command. Redis says so in these words, and closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenInline {
    #[error("too big inline request")]
    TooBig,
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// The arguments of an inline command, and how long it is. An empty line has none.
pub(crate) type Inline = (Vec<Vec<u8>>, usize);

/// Reads the inline command at the start of `bytes`; `None` if its line is not complete.
///
/// Redis waits for ever when a NUL stands in the line; here the line ends there, as it does for the one
/// who splits it.
///
/// # Errors
///
/// If the line is too long, or a quote in it is not closed or something follows it.
pub(crate) fn inline(bytes: &[u8]) -> Result<Option<Inline>, BrokenInline> {
    match bytes.iter().take(MAX_LINE + 1).position(|&byte| byte == b'\n') {
        Some(end) => Ok(Some((split(&bytes[..end])?, end + 1))),
        None if bytes.len() > MAX_LINE => Err(BrokenInline::TooBig),
        None => Ok(None),
    }
}

/// Splits a line as Redis 7.0 does (`sds.c` `sdssplitargs`). Compared with redis-server 7.0.15: 40 000 lines of
/// quotes, backslashes, spaces and letters in any order were split alike, or refused by both.
fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, BrokenInline> {
    let mut words = Vec::new();
    let mut rest = Rest(line);
    loop {
        rest.skip_spaces();
        if rest.peek().is_none() {
            return Ok(words);
        }
        words.push(rest.word()?);
    }
}

/// What has not been split yet.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
    }

    /// Reads a word. It may begin without a quote and go on with one, as in a shell.
    fn word(&mut self) -> Result<Vec<u8>, BrokenInline> {
        let mut word = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                // Not every space ends a word that can stand before one.
                b' ' | b'\t' | b'\r' | b'\n' => break,
                b'"' | b'\'' => {
                    self.next();
                    self.quoted(byte, &mut word)?;
                    break;
                }
                _ => {
                    self.next();
                    word.push(byte);
                }
            }
        }
        Ok(word)
    }

    /// Reads what stands in quotes, of which the first is read already. A space or nothing has to follow.
    fn quoted(&mut self, quote: u8, word: &mut Vec<u8>) -> Result<(), BrokenInline> {
        loop {
            match self.next().ok_or(BrokenInline::UnbalancedQuotes)? {
                byte if byte == quote => break,
                b'\\' if quote == b'"' => word.push(self.escaped()),
                b'\\' if self.peek() == Some(b'\'') => {
                    self.next();
                    word.push(b'\'');
                }
                byte => word.push(byte),
            }
        }
        match self.peek() {
            Some(byte) if !is_space(byte) => Err(BrokenInline::UnbalancedQuotes),
            _ => Ok(()),
        }
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> u8 {
        if let [b'x', high, low, ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = &self.0[3..];
            return high << 4 | low;
        }
        match self.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 0x08,
            Some(b'a') => 0x07,
            Some(byte) => byte,
            // At the end the backslash is one, and the quote is missing.
            None => b'\\',
        }
    }

    /// The next byte. A NUL is the end.
    fn peek(&self) -> Option<u8> {
        self.0.first().copied().filter(|&byte| byte != 0)
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.0 = &self.0[1..];
        Some(byte)
    }
}

/// Whether C's `isspace` says so.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn hex(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, BrokenInline> {
        let line = format!("{line}\r\n");
        let (words, length) = inline(line.as_bytes())?.expect("a whole line");
        assert_eq!(length, line.len());
        Ok(words)
    }

    /// As redis-server 7.0.15 replied to the same lines.
    #[test]
    fn lines_are_split_as_redis_splits_them() {
        for (line, expected) in [
            ("", &[][..]),
            (" \t ", &[]),
            ("PING", &[&b"PING"[..]]),
            ("  get \t foo  ", &[b"get", b"foo"]),
            (r#"a "b c" d"#, &[b"a", b"b c", b"d"]),
            (r#"a "" ''"#, &[b"a", b"", b""]),
            (r#"a fo"o b""#, &[b"a", b"foo b"]),
            (r"a fo'o b'", &[b"a", b"foo b"]),
            (r#""\x00\xfF\n\r\t\b\a\\\"\q\xg1""#, &[b"\0\xff\n\r\t\x08\x07\\\"qxg1"]),
            (r"'\n\x41\'\\ '", &[b"\\n\\x41'\\\\ "]),
            (r"a\nb \x41", &[b"a\\nb", b"\\x41"]),
            (r#"'a"b' "a'b""#, &[b"a\"b", b"a'b"]),
            ("a\u{b}b \u{b}c", &[b"a\x0bb", b"c"]),
            ("\"a\"\u{c}b", &[b"a", b"b"]),
            ("a\rb", &[b"a", b"b"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|word| word.to_vec()).collect();
            assert_eq!(words(line), Ok(expected), "{line}");
        }
        for line in [
            r#"a "b"#,
            "a 'b",
            r#"a "b"c"#,
            "a 'b'c",
            r#"a "b""c""#,
            r#"""#,
            r#""\"#,
            r#""\""#,
            r"'\'",
        ] {
            assert_eq!(words(line), Err(BrokenInline::UnbalancedQuotes), "{line}");
        }
        // Redis would wait for the end of these lines.
        assert_eq!(words("a\0b c"), Ok(vec![b"a".to_vec()]));
        assert_eq!(words("\"a\0\""), Err(BrokenInline::UnbalancedQuotes));
    }

    #[test]
    fn a_line_has_at_most_64_kib() {
        let line = [&b"a".repeat(MAX_LINE)[..], b"\n"].concat();
        assert_eq!(inline(&line[..MAX_LINE]), Ok(None));
        assert_eq!(inline(&line), Ok(Some((vec![b"a".repeat(MAX_LINE)], MAX_LINE + 1))));
        let longer = [b"a", &line[..]].concat();
        assert_eq!(inline(&longer[..MAX_LINE + 1]), Err(BrokenInline::TooBig));
        assert_eq!(inline(&longer), Err(BrokenInline::TooBig));
    }

    /// `word` in double quotes, written in one of the ways there are.
    fn quoted(word: &[u8]) -> Vec<u8> {
        let bytes = word.iter().flat_map(|byte| match byte {
            b'\n' => b"\\n".to_vec(),
            b'"' | b'\\' => vec![b'\\', *byte],
            0 => b"\\x00".to_vec(),
            byte if byte % 3 == 0 => format!("\\x{byte:02X}").into_bytes(),
            byte => vec![*byte],
        });
        [b'"'].into_iter().chain(bytes).chain([b'"']).collect()
    }

    proptest! {
        #[test]
        fn quoted_words_are_read_again(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..5),
            behind: Vec<u8>,
        ) {
            let mut line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b"  "[..]);
            line.push(b'\n');
            let length = line.len();
            for cut in 0..length {
                prop_assert_eq!(inline(&line[..cut]), Ok(None));
            }
            line.extend(behind);
            prop_assert_eq!(inline(&line), Ok(Some((words, length))));
        }

        #[test]
        fn any_line_is_read_or_refused(line in "[ab\"'\\\\xn0 \t\r\u{b}\0]{0,20}", behind: Vec<u8>) {
            let bytes = [line.as_bytes(), b"\n"].concat();
            let read = inline(&bytes);
            if let Ok(read) = &read {
                prop_assert_eq!(read.as_ref().map(|(_, length)| *length), Some(bytes.len()));
            }
            prop_assert_eq!(inline(&[bytes, behind].concat()), read);
        }
    }
}
