//! redis-rs's credentials that change with time.

use redis::StreamingCredentialsProvider;

use super::config::AsyncConnectionConfig;

#[cfg(feature = "connection-manager")]
mod manager;

impl AsyncConnectionConfig {
    /// Takes user and password from `provider`, for every connection to every node, and again when they
    /// change.
    pub fn set_credentials_provider<P>(self, provider: P) -> Self
    where
        P: StreamingCredentialsProvider + 'static,
    {
        self.with(|redis| redis.set_credentials_provider(provider))
    }
}
