//! The methods of `memcache::Client` that concern one key.

use std::borrow::Cow;
use std::time::Instant;

use memcache::ClientError;
use memcache::CommandError;
use memcache::FromMemcacheValueExt;
use memcache::MemcacheError;
use memcache::ServerError;
use memcache::ToMemcacheValue;

use super::ShardedMemcache;
use super::Shared;
use super::ask::Outcome;
use super::asking::ask_key;
use super::options::MemcacheProtocol;
use crate::config::FailedReads;
use crate::error::ShardError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::StoreMode;
use crate::protocol::memcache::check_key;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of one key. A key has 1 to 250 bytes, and no space or control character; anything else is a
/// `ClientError` before a byte is sent. The other errors are: `IOError` with a [`ShardError`] in it
/// ([`ShardError::of_memcache`]) if the node fails, `ServerError` and `ClientError` with the words of the
/// server if it refuses, and what each method says.
impl ShardedMemcache {
    /// The value of `key`; `None` if there is none.
    ///
    /// With [`FailedReads::Miss`] it is `None`, too, if the node fails.
    ///
    /// # Errors
    ///
    /// As above, and `ParseError` if the value is no `V`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let cache = shardwright::ShardedMemcache::connect("memcache://10.0.0.1,memcache://10.0.0.2")?;
    /// let greeting: Option<String> = cache.get("greeting")?;
    /// let counted: Option<(Vec<u8>, u32, Option<u64>)> = cache.get("greeting")?; // with flags and cas
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn get<V: FromMemcacheValueExt>(&self, key: &str) -> Result<Option<V>> {
        read(&self.shared, self.ask(key, Request::Get { with_cas: V::requires_cas() }))
    }

    /// Stores `value` under `key` for `expiration` seconds (0 is for ever, more than 30 days are a unix
    /// time, and later ones than January 2038 count as that: servers read no others as text).
    ///
    /// A type of the application implements [`ToMemcacheValue`] for any writer (`impl<W: Write>
    /// ToMemcacheValue<W>`): the value is written into the request, not to a socket of memcache's.
    ///
    /// # Errors
    ///
    /// As above; a value above the server's limit (1 MiB unless it was started with `-I`) is a
    /// `ServerError`.
    pub fn set<V: ToMemcacheValue<Vec<u8>>>(
        &self,
        key: &str,
        value: V,
        expiration: u32,
    ) -> Result<()> {
        stored(self.store(StoreMode::Set, key, &value, expiration)?, CommandError::KeyNotFound)
    }

    /// Stores `value` if the present one still has the number `cas_id`, which a `get` as `(V, u32,
    /// Option<u64>)` returned; false if not, or if there is none any more.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn cas<V: ToMemcacheValue<Vec<u8>>>(
        &self,
        key: &str,
        value: V,
        expiration: u32,
        cas_id: u64,
    ) -> Result<bool> {
        replaced(self.store(StoreMode::Cas(cas_id), key, &value, expiration)?)
    }

    /// Stores `value` if there is none.
    ///
    /// # Errors
    ///
    /// As above, and `CommandError::KeyExists` if there is one.
    pub fn add<V: ToMemcacheValue<Vec<u8>>>(
        &self,
        key: &str,
        value: V,
        expiration: u32,
    ) -> Result<()> {
        stored(self.store(StoreMode::Add, key, &value, expiration)?, CommandError::KeyExists)
    }

    /// Stores `value` if there is one already.
    ///
    /// # Errors
    ///
    /// As above, and `CommandError::KeyNotFound` if there is none.
    pub fn replace<V: ToMemcacheValue<Vec<u8>>>(
        &self,
        key: &str,
        value: V,
        expiration: u32,
    ) -> Result<()> {
        stored(self.store(StoreMode::Replace, key, &value, expiration)?, CommandError::KeyNotFound)
    }

    /// Puts `value` behind the one that is there, which keeps its flags and its expiration.
    ///
    /// # Errors
    ///
    /// As above, and `CommandError::KeyNotFound` if there is none.
    pub fn append<V: ToMemcacheValue<Vec<u8>>>(&self, key: &str, value: V) -> Result<()> {
        stored(self.store(StoreMode::Append, key, &value, 0)?, CommandError::KeyNotFound)
    }

    /// Puts `value` in front of the one that is there, which keeps its flags and its expiration.
    ///
    /// # Errors
    ///
    /// As above, and `CommandError::KeyNotFound` if there is none.
    pub fn prepend<V: ToMemcacheValue<Vec<u8>>>(&self, key: &str, value: V) -> Result<()> {
        stored(self.store(StoreMode::Prepend, key, &value, 0)?, CommandError::KeyNotFound)
    }

    /// Deletes `key`; false if there was none.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn delete(&self, key: &str) -> Result<bool> {
        deleted(self.ask(key, Request::Delete)?)
    }

    /// Adds `amount` to the number under `key`, modulo 2^64, and returns what it is then.
    ///
    /// If there is none, it becomes 0 and 0 is returned, as in `memcache::Client`, whose protocol does so;
    /// with [`MemcacheProtocol::Ascii`] it is an error, as there.
    ///
    /// # Errors
    ///
    /// As above; `ClientError` if the value is no number.
    pub fn increment(&self, key: &str, amount: u64) -> Result<u64> {
        let creates = creates_counters(&self.shared);
        self.count(key, Request::Increment { delta: amount, creates })
    }

    /// Subtracts `amount` from the number under `key`, down to 0, and returns what it is then.
    ///
    /// If there is none, it becomes 0, as with [`increment`](Self::increment).
    ///
    /// # Errors
    ///
    /// As [`increment`](Self::increment).
    pub fn decrement(&self, key: &str, amount: u64) -> Result<u64> {
        let creates = creates_counters(&self.shared);
        self.count(key, Request::Decrement { delta: amount, creates })
    }

    /// Gives the value under `key` another `expiration`; false if there is none.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn touch(&self, key: &str, expiration: u32) -> Result<bool> {
        touched(self.ask(key, Request::Touch { expiration })?)
    }

    #[inline]
    fn ask(&self, key: &str, request: Request<'_>) -> Result<Outcome> {
        let now = clock::now();
        self.ask_by(key, request, now, Deadline::after(now, self.shared.options.limit()))
    }

    #[inline]
    fn ask_by(
        &self,
        key: &str,
        request: Request<'_>,
        now: Instant,
        deadline: Deadline,
    ) -> Result<Outcome> {
        check_key(key.as_bytes())?;
        Ok(ask_key(&self.shared, key.as_bytes(), request, now, deadline)?)
    }

    #[inline]
    fn store<V: ToMemcacheValue<Vec<u8>>>(
        &self,
        mode: StoreMode,
        key: &str,
        value: &V,
        expiration: u32,
    ) -> Result<Outcome> {
        let (flags, data) = encoded(value)?;
        self.ask(key, Request::Store { mode, flags, expiration, data: &data })
    }

    /// One deadline bounds the whole.
    fn count(&self, key: &str, request: Request<'_>) -> Result<u64> {
        let start = clock::now();
        let deadline = Deadline::after(start, self.shared.options.limit());
        let ask_now = |request, now| self.ask_by(key, request, now, deadline.from(now));
        let mut now = start;
        loop {
            if let Some(number) = counted(&self.shared, ask_now(request, now)?)? {
                return Ok(number);
            }
            if added(ask_now(ZERO, clock::now())?)? {
                return Ok(0);
            }
            now = clock::now();
        }
    }
}

/// What adds a counter.
pub(super) const ZERO: Request<'_> =
    Request::Store { mode: StoreMode::Add, flags: 0, expiration: 0, data: b"0" };

/// Whether a counter that is missing becomes 0.
pub(super) fn creates_counters(shared: &Shared) -> bool {
    shared.options.protocol != MemcacheProtocol::Ascii
}

/// What a counter is now; none if it is missing and to be added. The meta commands make one that is
/// missing. The classic ones do not: there it is added, which somebody else may do first.
pub(super) fn counted(shared: &Shared, outcome: Outcome) -> Result<Option<u64>> {
    match outcome {
        Outcome::Number(number) => Ok(Some(number)),
        Outcome::NotFound if creates_counters(shared) => Ok(None),
        Outcome::NotFound => Err(CommandError::KeyNotFound.into()),
        other => Err(unexpected(other)),
    }
}

/// Whether a counter was added; false if somebody else was first.
pub(super) fn added(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Stored => Ok(true),
        Outcome::NotStored => Ok(false),
        other => Err(unexpected(other)),
    }
}

/// What a get found; a failure of its node may count as nothing.
pub(super) fn read<V: FromMemcacheValueExt>(
    shared: &Shared,
    outcome: Result<Outcome>,
) -> Result<Option<V>> {
    match outcome {
        Ok(outcome) => value(outcome),
        Err(error) => {
            let is_missed = shared.options.failed_reads == FailedReads::Miss
                && ShardError::of_memcache(&error).is_some();
            if is_missed { Ok(None) } else { Err(error) }
        }
    }
}

/// A server reads lengths as 32 bits with a sign, and counts the line end in (memcached 1.6.18
/// `proto_text.c`).
const LONGEST: usize = i32::MAX as usize - 3;

const BELIEVED: usize = 1 << 20;

/// The flags of a value, and its bytes.
pub(super) fn encoded<V: ToMemcacheValue<Vec<u8>>>(value: &V) -> Result<(u32, Vec<u8>)> {
    // What a type says of its length is believed as far as it costs little.
    let mut data = Vec::with_capacity(value.get_length().min(BELIEVED));
    value.write_to(&mut data)?;
    check_length(data.len())?;
    Ok((value.get_flags(), data))
}

/// Refuses a value whose length no server can read: it would go on to read the value as requests.
fn check_length(length: usize) -> Result<()> {
    if length > LONGEST {
        let what = format!("the value has {length} bytes, more than {LONGEST}");
        return Err(ClientError::Error(Cow::Owned(what)).into());
    }
    Ok(())
}

/// The value that a get found.
pub(super) fn value<V: FromMemcacheValueExt>(outcome: Outcome) -> Result<Option<V>> {
    match outcome {
        Outcome::Value { data, flags, cas } => V::from_memcache_value(data, flags, cas).map(Some),
        Outcome::Miss => Ok(None),
        other => Err(unexpected(other)),
    }
}

/// What became of a value that was to be stored; `refusal` says why if it was not.
pub(super) fn stored(outcome: Outcome, refusal: CommandError) -> Result<()> {
    match outcome {
        Outcome::Stored => Ok(()),
        Outcome::NotStored | Outcome::NotFound | Outcome::Exists => Err(refusal.into()),
        other => Err(unexpected(other)),
    }
}

/// Whether a value took the place of the one that was read.
pub(super) fn replaced(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Stored => Ok(true),
        Outcome::Exists | Outcome::NotFound | Outcome::NotStored => Ok(false),
        other => Err(unexpected(other)),
    }
}

/// Whether there was something to delete.
pub(super) fn deleted(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Deleted => Ok(true),
        Outcome::NotFound => Ok(false),
        other => Err(unexpected(other)),
    }
}

/// Whether there was something to touch.
pub(super) fn touched(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Touched => Ok(true),
        Outcome::NotFound => Ok(false),
        other => Err(unexpected(other)),
    }
}

/// The server's own error, or a reply that is none to what was asked.
#[cold]
pub(super) fn unexpected(outcome: Outcome) -> MemcacheError {
    match outcome {
        Outcome::Refused(refusal) => refusal.into(),
        _ => ServerError::BadResponse("a reply to another request".into()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_a_length_that_servers_can_read() {
        assert!(check_length(0).is_ok());
        assert!(check_length(LONGEST).is_ok());
        let error = check_length(LONGEST + 1).unwrap_err();
        assert_eq!(error.to_string(), "the value has 2147483645 bytes, more than 2147483644");
    }
}
