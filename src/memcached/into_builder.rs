//! What a client can be connected to.

use memcache::MemcacheError;

use super::builder::ShardedMemcacheBuilder;

/// What describes the nodes of a client, as [`memcache::Connectable`] describes servers.
pub trait IntoMemcacheTopology: Sized {
    /// `builder` with these nodes, and with whatever else was said.
    ///
    /// # Errors
    ///
    /// `BadURL` if it describes no nodes.
    fn add_to(
        self,
        builder: ShardedMemcacheBuilder,
    ) -> Result<ShardedMemcacheBuilder, MemcacheError>;

    /// A builder with these nodes, and with whatever else was said.
    ///
    /// # Errors
    ///
    /// `BadURL` if it describes no nodes.
    fn into_builder(self) -> Result<ShardedMemcacheBuilder, MemcacheError> {
        self.add_to(ShardedMemcacheBuilder::new())
    }
}
