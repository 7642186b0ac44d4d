//! Many keys at once.

use std::collections::HashMap;
use std::future::Future;

use memcache::FromMemcacheValueExt;
use memcache::MemcacheError;
use memcache::ToMemcacheValue;

use super::ShardedAsyncMemcache;
use super::asking::ask_keys;
use crate::memcached::many::Values;
use crate::memcached::many::found;
use crate::memcached::many::read;
use crate::memcached::many::requests;
use crate::memcached::many::was_deleted;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::check_key;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of many keys. All nodes work at the same time, and one deadline bounds the whole. A node that
/// fails costs its own keys only.
impl ShardedAsyncMemcache {
    /// The values of `keys`, those that there are.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::gets`](crate::ShardedMemcache::gets).
    pub async fn gets<V: FromMemcacheValueExt>(&self, keys: &[&str]) -> Result<HashMap<String, V>> {
        keys.iter().try_for_each(|key| check_key(key.as_bytes()))?;
        // memcache::Client gives every type the cas here.
        let requests = requests(keys, Request::Get { with_cas: true });
        let outcomes = ask_keys(self.shared(), &requests).await;
        found(keys, outcomes.into_iter().map(|result| read(self.shared(), result)).collect())
    }

    /// The values of `keys`, each by itself, in their order, as
    /// [`ShardedMemcache::get_many`](crate::ShardedMemcache::get_many).
    pub fn get_many<'a, V: FromMemcacheValueExt, K: AsRef<str>>(
        &'a self,
        keys: &'a [K],
    ) -> impl Future<Output = Vec<Result<Option<V>>>> + Send + use<'a, V, K> {
        let requests = requests(keys, Request::Get { with_cas: V::requires_cas() });
        async move {
            let outcomes = ask_keys(self.shared(), &requests).await;
            outcomes.into_iter().map(|result| read(self.shared(), result)).collect()
        }
    }

    /// Stores each value under its key, for `expiration` seconds, as
    /// [`ShardedMemcache::set_many`](crate::ShardedMemcache::set_many).
    pub fn set_many<'a, K: AsRef<str>, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        entries: &'a [(K, V)],
        expiration: u32,
    ) -> impl Future<Output = Vec<Result<()>>> + Send + use<'a, K, V> {
        let values = Values::new(entries);
        async move {
            let outcomes = ask_keys(self.shared(), &values.requests(expiration)).await;
            values.conclude(outcomes)
        }
    }

    /// Deletes `keys`. For each in their order, whether there was a value.
    pub fn delete_many<'a, K: AsRef<str>>(
        &'a self,
        keys: &'a [K],
    ) -> impl Future<Output = Vec<Result<bool>>> + Send + use<'a, K> {
        let requests = requests(keys, Request::Delete);
        async move {
            let outcomes = ask_keys(self.shared(), &requests).await;
            outcomes.into_iter().map(was_deleted).collect()
        }
    }
}
