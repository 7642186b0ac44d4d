//! Many keys in one call, of all their nodes at the same time.

use std::collections::HashMap;

use memcache::CommandError;
use memcache::FromMemcacheValueExt;
use memcache::MemcacheError;
use memcache::ToMemcacheValue;

use super::ShardedMemcache;
use super::Shared;
use super::ask::Outcome;
use super::asking::ask_keys;
use super::commands::deleted;
use super::commands::encoded;
use super::commands::stored;
use super::commands::value;
use super::scattered::Trouble;
use crate::config::FailedReads;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::StoreMode;
use crate::protocol::memcache::check_key;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of many keys. Each node gets its keys in one write, all nodes work at the same time, and one
/// deadline bounds the whole: what takes so long to put together that there is no time left is not sent. A node that
/// fails costs its own keys only.
impl ShardedMemcache {
    /// The values of `keys`, those that there are.
    ///
    /// With [`FailedReads::Miss`] the keys of a node that fails are as if they were not there.
    ///
    /// # Errors
    ///
    /// That of the first key that has one: of its node, of the server, or of the key itself, before
    /// anything is sent then. [`get_many`](Self::get_many) has the others, too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let cache = shardwright::ShardedMemcache::connect("memcache://10.0.0.1,memcache://10.0.0.2")?;
    /// let values: std::collections::HashMap<String, String> = cache.gets(&["a", "b", "c"])?;
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn gets<V: FromMemcacheValueExt>(&self, keys: &[&str]) -> Result<HashMap<String, V>> {
        keys.iter().try_for_each(|key| check_key(key.as_bytes()))?;
        // memcache::Client gives every type the cas here.
        found(keys, self.read_many(keys, true))
    }

    /// The values of `keys`, each by itself, in their order: a value, `None` if there is none, or why it
    /// could not be read.
    ///
    /// With [`FailedReads::Miss`] the keys of a node that fails are `None`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let cache = shardwright::ShardedMemcache::connect("memcache://10.0.0.1,memcache://10.0.0.2")?;
    /// let keys = ["a", "b", "c"];
    /// for (key, value) in keys.iter().zip(cache.get_many::<String, _>(&keys)) {
    ///     match value {
    ///         Ok(Some(value)) => println!("{key} is {value}"),
    ///         Ok(None) => println!("{key} is not there"),
    ///         Err(error) => println!("{key} cannot be read: {error}"),
    ///     }
    /// }
    /// # Ok::<(), memcache::MemcacheError>(())
    /// ```
    pub fn get_many<V: FromMemcacheValueExt, K: AsRef<str>>(
        &self,
        keys: &[K],
    ) -> Vec<Result<Option<V>>> {
        self.read_many(keys, V::requires_cas())
    }

    /// Stores each value under its key, for `expiration` seconds. What became of each is in the order of
    /// the entries; of two with one key the later one counts.
    pub fn set_many<K: AsRef<str>, V: ToMemcacheValue<Vec<u8>>>(
        &self,
        entries: &[(K, V)],
        expiration: u32,
    ) -> Vec<Result<()>> {
        // The time begins here: it takes long to encode many megabytes.
        let deadline = self.deadline();
        let values = Values::new(entries);
        let outcomes = ask_keys(&self.shared, &values.requests(expiration), deadline);
        values.conclude(outcomes)
    }

    /// Deletes `keys`. For each in their order, whether there was a value.
    pub fn delete_many<K: AsRef<str>>(&self, keys: &[K]) -> Vec<Result<bool>> {
        let requests = requests(keys, Request::Delete);
        ask_keys(&self.shared, &requests, self.deadline()).into_iter().map(was_deleted).collect()
    }

    fn read_many<V: FromMemcacheValueExt, K: AsRef<str>>(
        &self,
        keys: &[K],
        with_cas: bool,
    ) -> Vec<Result<Option<V>>> {
        let requests = requests(keys, Request::Get { with_cas });
        let read = |result| read(&self.shared, result);
        ask_keys(&self.shared, &requests, self.deadline()).into_iter().map(read).collect()
    }

    /// That of a request which begins now.
    fn deadline(&self) -> Deadline {
        Deadline::after(clock::now(), self.shared.options.limit())
    }
}

/// The same request for each of `keys`.
pub(super) fn requests<'a, K: AsRef<str>>(
    keys: &'a [K],
    request: Request<'a>,
) -> Vec<(&'a [u8], Request<'a>)> {
    keys.iter().map(|key| (key.as_ref().as_bytes(), request)).collect()
}

/// What one of many gets found.
pub(super) fn read<V: FromMemcacheValueExt>(
    shared: &Shared,
    result: std::result::Result<Outcome, Trouble>,
) -> Result<Option<V>> {
    match result {
        Ok(outcome) => value(outcome),
        Err(Trouble::Shard(_)) if shared.options.failed_reads == FailedReads::Miss => Ok(None),
        Err(trouble) => Err(trouble.into()),
    }
}

/// The values that there are, or the first error.
pub(super) fn found<V>(
    keys: &[&str],
    values: Vec<Result<Option<V>>>,
) -> Result<HashMap<String, V>> {
    let mut found = HashMap::with_capacity(keys.len());
    for (key, value) in keys.iter().zip(values) {
        if let Some(value) = value? {
            found.insert((*key).to_owned(), value);
        }
    }
    Ok(found)
}

/// Whether there was something to delete.
pub(super) fn was_deleted(result: std::result::Result<Outcome, Trouble>) -> Result<bool> {
    deleted(result?)
}

/// Values to be stored.
pub(super) struct Values<'a> {
    /// What is known of each entry: why it cannot be encoded.
    results: Vec<Result<()>>,
    encoded: Vec<Encoded<'a>>,
}

struct Encoded<'a> {
    /// Among the entries.
    place: usize,
    key: &'a [u8],
    flags: u32,
    data: Vec<u8>,
}

impl<'a> Values<'a> {
    pub(super) fn new<K: AsRef<str>, V: ToMemcacheValue<Vec<u8>>>(entries: &'a [(K, V)]) -> Self {
        let mut results: Vec<_> = entries.iter().map(|_| Ok(())).collect();
        let mut all = Vec::with_capacity(entries.len());
        for (place, (key, value)) in entries.iter().enumerate() {
            match encoded(value) {
                Ok((flags, data)) => {
                    all.push(Encoded { place, key: key.as_ref().as_bytes(), flags, data });
                }
                Err(error) => results[place] = Err(error),
            }
        }
        Self { results, encoded: all }
    }

    pub(super) fn requests(&self, expiration: u32) -> Vec<(&[u8], Request<'_>)> {
        let mode = StoreMode::Set;
        let mut requests = Vec::with_capacity(self.encoded.len());
        for Encoded { key, flags, data, .. } in &self.encoded {
            requests.push((*key, Request::Store { mode, flags: *flags, expiration, data }));
        }
        requests
    }

    /// What became of each entry, of what came of the requests.
    pub(super) fn conclude(
        self,
        outcomes: Vec<std::result::Result<Outcome, Trouble>>,
    ) -> Vec<Result<()>> {
        let Self { mut results, encoded } = self;
        for (Encoded { place, .. }, outcome) in encoded.into_iter().zip(outcomes) {
            results[place] = match outcome {
                Ok(outcome) => stored(outcome, CommandError::KeyNotFound),
                Err(trouble) => Err(trouble.into()),
            };
        }
        results
    }
}
