//! The requests that most are, read in one pass: `get` with its keys, and `set` with a value.
//!
//! [`Request::read`] reads them as well, and takes two to three times as long, since it looks for the end
//! of the line first, and for what is odd about it. What is odd here is left to it.

use super::super::key::MAX_LENGTH;
use super::Command;
use super::Request;
use super::Retrieve;
use super::RetrieveName;
use super::request::MAX_SENT_LINE;
use super::scanner::MAX_LINE;
use super::search::find_space_or_control;
use super::store::MAX_VALUE;
use super::words::Words;

/// Flags and times have fewer digits than this when they are in range in any case.
const SURE_DIGITS: usize = 9;

/// The request at the start of `bytes`, of which the line at least has arrived, if it is one of these. `keys` are
/// those of a `get`.
#[inline]
pub(super) fn read<'b>(bytes: &'b [u8], keys: &mut Vec<&'b [u8]>) -> Option<Request<'b>> {
    match bytes.first_chunk()? {
        b"get " => get(bytes, &bytes[4..], keys),
        b"set " => set(bytes, &bytes[4..]),
        _ => None,
    }
}

#[inline]
fn get<'b>(bytes: &'b [u8], words: &'b [u8], keys: &mut Vec<&'b [u8]>) -> Option<Request<'b>> {
    let mut rest = words;
    keys.clear();
    loop {
        keys.push(word(&mut rest)?);
        match rest {
            [b' ', behind @ ..] => rest = behind,
            [b'\r', b'\n', behind @ ..] => {
                let line = bytes.len() - behind.len();
                let words = Words::new(&words[..words.len() - rest.len()]);
                let is_usual = line <= MAX_LINE;
                let retrieve = Retrieve::new(RetrieveName::Get, keys.len(), words);
                return is_usual.then(|| Request::verbatim(Command::Retrieve(retrieve), line, 0));
            }
            _ => return None,
        }
    }
}

#[inline]
fn set<'b>(bytes: &'b [u8], mut rest: &'b [u8]) -> Option<Request<'b>> {
    let key = word(&mut rest)?;
    let _flags = number(&mut rest)?;
    let _expiration = number(&mut rest)?;
    let length = number(&mut rest)?;
    let behind = rest.strip_prefix(b"\r\n")?;
    let line = bytes.len() - behind.len();
    let is_usual = length <= MAX_VALUE && line <= MAX_SENT_LINE;
    let length = usize::try_from(length).ok()?;
    is_usual.then(|| Request::verbatim(Command::Store { key }, line, length + 2))
}

/// Reads a key.
#[inline]
fn word<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = find_space_or_control(rest).filter(|end| (1..=MAX_LENGTH).contains(end))?;
    let (word, behind) = rest.split_at(end);
    *rest = behind;
    Some(word)
}

/// Reads a space and a number of few digits.
#[inline]
fn number(rest: &mut &[u8]) -> Option<u64> {
    let digits = rest.strip_prefix(b" ")?;
    let mut number = 0;
    let mut length = 0;
    while let Some(digit) = digits.get(length).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        number = number * 10 + u64::from(digit);
        length += 1;
        if length > SURE_DIGITS {
            return None;
        }
    }
    *rest = &digits[length..];
    (length > 0).then_some(number)
}
