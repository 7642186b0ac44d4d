//! The same under the manager's name.

use redis::StreamingCredentialsProvider;

use crate::client::aio::manager::ConnectionManagerConfig;

impl ConnectionManagerConfig {
    /// See [`AsyncConnectionConfig::set_credentials_provider`](crate::AsyncConnectionConfig::set_credentials_provider).
    pub fn set_credentials_provider<P>(self, provider: P) -> Self
    where
        P: StreamingCredentialsProvider + 'static,
    {
        self.with(|connection| connection.set_credentials_provider(provider))
    }
}
