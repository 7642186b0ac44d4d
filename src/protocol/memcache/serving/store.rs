//! Requests with a value, of the classic protocol.

use super::super::key::MAX_LENGTH;
use super::Refusal;
use super::words::Words;
use super::words::first_words;
use super::words::is_expiration;
use super::words::number;

/// Larger values no memcached takes (1.6 `memcached.c` `settings_init` and `-I`: an item is at most 1 GiB).
pub(super) const MAX_VALUE: u64 = 1 << 30;

/// Why the line of a store is refused, and how long the value is that follows it, as far as it says.
pub(super) type Refused = (Refusal, Option<u64>);

/// Reads what follows the name: the key, and the length of the value.
///
/// The words are read as strictly as memcached does, because it takes the value for requests when it finds
/// fault with the line.
pub(super) fn read<'b>(words: Words<'b>, is_cas: bool) -> Result<(&'b [u8], u64), Refused> {
    let ([key, flags, expiration, length, cas, ..], count) = first_words(words);
    let words = if is_cas { 5 } else { 4 };
    let length = number(length).filter(|_| count >= 4);
    // What may follow is a `noreply`; any other word is passed over.
    if count != words && count != words + 1 {
        return Err((Refusal::Unknown, length));
    }
    let is_flags = number(flags).is_some_and(|number| u32::try_from(number).is_ok());
    let is_cas_number = !is_cas || number(cas).is_some();
    match length {
        Some(value)
            if key.len() <= MAX_LENGTH
                && is_flags
                && is_expiration(expiration)
                && is_cas_number =>
        {
            sized(value).map(|value| (key, value))
        }
        _ => Err((Refusal::Format, length)),
    }
}

/// Checks that a server may take a value of this `length`.
pub(super) fn sized(length: u64) -> Result<u64, Refused> {
    if length <= MAX_VALUE { Ok(length) } else { Err((Refusal::TooLarge, Some(length))) }
}
