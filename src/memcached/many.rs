//! Many keys in one call, of all their nodes at the same time.

use std::collections::HashMap;

use memcache::CommandError;
use memcache::FromMemcacheValueExt;
use memcache::MemcacheError;
use memcache::ToMemcacheValue;

use super::ShardedMemcache;
use super::ask::Outcome;
use super::asking::Trouble;
use super::asking::ask_keys;
use super::commands::encoded;
use super::commands::stored;
use super::commands::unexpected;
use super::commands::value;
use super::options::FailedReads;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::StoreMode;
use crate::protocol::memcache::check_key;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of many keys. Each node gets its keys in one write, all nodes work at the same time, and one
/// deadline bounds the whole. A node that fails costs its own keys only.
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
        let values = self.read_many(keys, true).into_iter();
        let mut found = HashMap::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value? {
                found.insert((*key).to_owned(), value);
            }
        }
        Ok(found)
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
        let mut results: Vec<_> = entries.iter().map(|_| Ok(())).collect();
        let mut values = Vec::with_capacity(entries.len());
        for (place, (key, value)) in entries.iter().enumerate() {
            match encoded(value) {
                Ok((flags, data)) => values.push((place, key.as_ref().as_bytes(), flags, data)),
                Err(error) => results[place] = Err(error),
            }
        }
        let mode = StoreMode::Set;
        let requests: Vec<_> = values
            .iter()
            .map(|(_, key, flags, data)| {
                (*key, Request::Store { mode, flags: *flags, expiration, data })
            })
            .collect();
        for ((place, ..), result) in values.iter().zip(ask_keys(&self.shared, &requests)) {
            results[*place] = match result {
                Ok(outcome) => stored(outcome, CommandError::KeyNotFound),
                Err(trouble) => Err(trouble.into()),
            };
        }
        results
    }

    /// Deletes `keys`. For each in their order, whether there was a value.
    pub fn delete_many<K: AsRef<str>>(&self, keys: &[K]) -> Vec<Result<bool>> {
        let requests: Vec<_> =
            keys.iter().map(|key| (key.as_ref().as_bytes(), Request::Delete)).collect();
        let deleted = |result| match result {
            Ok(Outcome::Deleted) => Ok(true),
            Ok(Outcome::NotFound) => Ok(false),
            Ok(other) => Err(unexpected(other)),
            Err(trouble) => Err(MemcacheError::from(trouble)),
        };
        ask_keys(&self.shared, &requests).into_iter().map(deleted).collect()
    }

    fn read_many<V: FromMemcacheValueExt, K: AsRef<str>>(
        &self,
        keys: &[K],
        with_cas: bool,
    ) -> Vec<Result<Option<V>>> {
        let request = Request::Get { with_cas };
        let requests: Vec<_> = keys.iter().map(|key| (key.as_ref().as_bytes(), request)).collect();
        let misses = self.shared.options.failed_reads == FailedReads::Miss;
        let read = |result| match result {
            Ok(outcome) => value(outcome),
            Err(Trouble::Shard(_)) if misses => Ok(None),
            Err(trouble) => Err(trouble.into()),
        };
        ask_keys(&self.shared, &requests).into_iter().map(read).collect()
    }
}
