//! Without a runtime there is no asynchronous connection.

use shardwright::ShardedClient;

use super::step::Connection;

pub fn open(_client: &ShardedClient) -> Option<Box<dyn Connection>> {
    None
}
