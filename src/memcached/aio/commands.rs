//! The methods of `memcache::Client` that concern one key.

use std::future::Future;

use memcache::CommandError;
use memcache::FromMemcacheValueExt;
use memcache::MemcacheError;
use memcache::ToMemcacheValue;

use super::ShardedAsyncMemcache;
use super::asking::ask_key;
use crate::memcached::ask::Outcome;
use crate::memcached::commands::ZERO;
use crate::memcached::commands::added;
use crate::memcached::commands::counted;
use crate::memcached::commands::creates_counters;
use crate::memcached::commands::deleted;
use crate::memcached::commands::encoded;
use crate::memcached::commands::read;
use crate::memcached::commands::replaced;
use crate::memcached::commands::stored;
use crate::memcached::commands::touched;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::memcache::Request;
use crate::protocol::memcache::StoreMode;
use crate::protocol::memcache::check_key;

type Result<T> = std::result::Result<T, MemcacheError>;

/// Requests of one key. What each does, and which errors it has, is as in
/// [`ShardedMemcache`](crate::ShardedMemcache). A value is encoded when the method is called, so that its
/// type need not be `Send`; nothing is sent before the future is polled.
impl ShardedAsyncMemcache {
    /// The value of `key`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::get`](crate::ShardedMemcache::get).
    pub async fn get<V: FromMemcacheValueExt>(&self, key: &str) -> Result<Option<V>> {
        let outcome = self.ask(key, Request::Get { with_cas: V::requires_cas() }).await;
        read(self.shared(), outcome)
    }

    /// Stores `value` under `key` for `expiration` seconds (0 is for ever, more than 30 days are a unix
    /// time).
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::set`](crate::ShardedMemcache::set).
    pub fn set<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
        expiration: u32,
    ) -> impl Future<Output = Result<()>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Set, key, &value, expiration);
        async move { stored(storing.await?, CommandError::KeyNotFound) }
    }

    /// Stores `value` if the present one still has the number `cas_id`, which a `get` as `(V, u32,
    /// Option<u64>)` returned; false if not, or if there is none any more.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::cas`](crate::ShardedMemcache::cas).
    pub fn cas<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
        expiration: u32,
        cas_id: u64,
    ) -> impl Future<Output = Result<bool>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Cas(cas_id), key, &value, expiration);
        async move { replaced(storing.await?) }
    }

    /// Stores `value` if there is none.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::add`](crate::ShardedMemcache::add).
    pub fn add<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
        expiration: u32,
    ) -> impl Future<Output = Result<()>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Add, key, &value, expiration);
        async move { stored(storing.await?, CommandError::KeyExists) }
    }

    /// Stores `value` if there is one already.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::replace`](crate::ShardedMemcache::replace).
    pub fn replace<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
        expiration: u32,
    ) -> impl Future<Output = Result<()>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Replace, key, &value, expiration);
        async move { stored(storing.await?, CommandError::KeyNotFound) }
    }

    /// Puts `value` behind the one that is there, which keeps its flags and its expiration.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::append`](crate::ShardedMemcache::append).
    pub fn append<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
    ) -> impl Future<Output = Result<()>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Append, key, &value, 0);
        async move { stored(storing.await?, CommandError::KeyNotFound) }
    }

    /// Puts `value` in front of the one that is there, which keeps its flags and its expiration.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::prepend`](crate::ShardedMemcache::prepend).
    pub fn prepend<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        key: &'a str,
        value: V,
    ) -> impl Future<Output = Result<()>> + Send + use<'a, V> {
        let storing = self.store(StoreMode::Prepend, key, &value, 0);
        async move { stored(storing.await?, CommandError::KeyNotFound) }
    }

    /// Deletes `key`; false if there was none.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::delete`](crate::ShardedMemcache::delete).
    pub async fn delete(&self, key: &str) -> Result<bool> {
        deleted(self.ask(key, Request::Delete).await?)
    }

    /// Adds `amount` to the number under `key`, modulo 2^64, and returns what it is then. One that is missing
    /// becomes 0, as with [`ShardedMemcache::increment`](crate::ShardedMemcache::increment).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn increment(&self, key: &str, amount: u64) -> Result<u64> {
        let creates = creates_counters(self.shared());
        self.count(key, Request::Increment { delta: amount, creates }).await
    }

    /// Subtracts `amount` from the number under `key`, down to 0, and returns what it is then.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::decrement`](crate::ShardedMemcache::decrement).
    pub async fn decrement(&self, key: &str, amount: u64) -> Result<u64> {
        let creates = creates_counters(self.shared());
        self.count(key, Request::Decrement { delta: amount, creates }).await
    }

    /// Gives the value under `key` another `expiration`; false if there is none.
    ///
    /// # Errors
    ///
    /// As [`ShardedMemcache::touch`](crate::ShardedMemcache::touch).
    pub async fn touch(&self, key: &str, expiration: u32) -> Result<bool> {
        touched(self.ask(key, Request::Touch { expiration }).await?)
    }

    async fn ask(&self, key: &str, request: Request<'_>) -> Result<Outcome> {
        self.ask_by(key, request, self.deadline()).await
    }

    async fn ask_by(&self, key: &str, request: Request<'_>, deadline: Deadline) -> Result<Outcome> {
        check_key(key.as_bytes())?;
        Ok(ask_key(self.shared(), key.as_bytes(), request, deadline).await?)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(clock::now(), self.shared().options.limit())
    }

    /// Encodes now and stores then.
    fn store<'a, V: ToMemcacheValue<Vec<u8>>>(
        &'a self,
        mode: StoreMode,
        key: &'a str,
        value: &V,
        expiration: u32,
    ) -> impl Future<Output = Result<Outcome>> + Send + use<'a, V> {
        let encoded = encoded(value);
        async move {
            let (flags, data) = encoded?;
            self.ask(key, Request::Store { mode, flags, expiration, data: &data }).await
        }
    }

    /// One deadline bounds the whole.
    async fn count(&self, key: &str, request: Request<'_>) -> Result<u64> {
        let deadline = self.deadline();
        loop {
            let outcome = self.ask_by(key, request, deadline).await?;
            if let Some(number) = counted(self.shared(), outcome)? {
                return Ok(number);
            }
            if added(self.ask_by(key, ZERO, deadline).await?)? {
                return Ok(0);
            }
        }
    }
}
