//! What a client can be connected to.

use std::time::Duration;

use memcache::Connectable;
use memcache::MemcacheError;

use super::builder::ShardedMemcacheBuilder;
use super::node_config::MemcacheNodeConfig;
use super::options::MemcacheProtocol;
use crate::config::Limit;
use crate::config::MemcacheUrl;
use crate::config::UrlProtocol;
use crate::error::Result;

/// What describes the nodes of a client: all that [`memcache::Connectable`] is, and more.
///
/// Text is a URL of memcache's, several of them with commas between, or one that says it all:
///
/// ```text
/// memcache://user:pass@a:11211?timeout=0.5&protocol=ascii,b,memcache+unix:///run/c.sock
/// a:11211,b:11211
/// memcache+shard://user:pass@a:11211*2=first,b,[::1]:11212?hash=murmur&timeout=400ms
/// memcache+shard://a,b,c?preset=libmemcached_ketama&eject=successor&timeout=200ms
/// ```
///
/// In a list, an item without a scheme has that of the item before it, the first one `memcache`. Options of
/// an item are memcache's, with times in seconds (`timeout=0.5`): `timeout`, `connect_timeout` and `protocol`
/// (`auto`, `meta`, `ascii`) are those of the whole client, `tcp_nodelay` that of the node; with
/// `memcache+tls://` also `verify_mode`, `ca_path`, `cert_path` and `key_path`.
///
/// In a `memcache+shard://` URL (`memcache+tls+shard://` with TLS) a node is
/// `host[:port][*weight][=name]`; user, password and options are for all nodes. Besides the options above,
/// whose times have a unit here, it has these:
///
/// | option | value | without it |
/// |---|---|---|
/// | `preset` | a name of a [`Preset`](crate::Preset), instead of the next four | `twemproxy` |
/// | `distribution` | `ketama`, `modula`, `random`, `rendezvous`, `jump` | `ketama` |
/// | `hash` | a name of a [`HashKind`](crate::HashKind) | `fnv1a_64` |
/// | `char_sign` | `signed`, `unsigned` | `signed` |
/// | `node_order` | `by_name`, `as_listed` | as the distribution wants it |
/// | `hash_tag` | two characters, such as `{}` | the whole key is hashed |
/// | `eject` | `off`, `rebuild`, `successor`, `fail_fast` | `off` |
/// | `failure_limit` | a number | 2 |
/// | `retry_timeout`, `max_retry_timeout` | `400ms`, `2s` | 30 s, 5 min |
/// | `max_ejected_share` | 0 to 1 | 1 |
///
/// User names, passwords and paths are percent-decoded. UDP and the binary protocol are refused.
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

/// One text may be a list; of several each is one URL, in which a comma is nothing special.
impl<C: Connectable> IntoMemcacheTopology for C {
    fn add_to(
        self,
        builder: ShardedMemcacheBuilder,
    ) -> Result<ShardedMemcacheBuilder, MemcacheError> {
        let urls = self.get_urls();
        let url = match urls.as_slice() {
            [] => return Err(MemcacheError::BadURL("No servers specified".into())),
            [url] => MemcacheUrl::parse(url)?,
            urls => MemcacheUrl::from_urls(urls)?,
        };
        Ok(add_url(url, builder)?)
    }
}

/// The builder as it is, whatever `add_to` was given.
impl IntoMemcacheTopology for ShardedMemcacheBuilder {
    fn add_to(self, builder: Self) -> Result<Self, MemcacheError> {
        let nodes = self.configured_nodes().iter().cloned();
        Ok(nodes.fold(builder, Self::node))
    }

    fn into_builder(self) -> Result<Self, MemcacheError> {
        Ok(self)
    }
}

impl IntoMemcacheTopology for MemcacheNodeConfig {
    fn add_to(
        self,
        builder: ShardedMemcacheBuilder,
    ) -> Result<ShardedMemcacheBuilder, MemcacheError> {
        Ok(builder.node(self))
    }
}

fn add_url(url: MemcacheUrl, builder: ShardedMemcacheBuilder) -> Result<ShardedMemcacheBuilder> {
    let mut builder = builder.said_by(&url);
    for node in url.nodes {
        builder = builder.node(MemcacheNodeConfig::of_url(node)?);
    }
    builder = match url.timeout {
        Limit::Unsaid => builder,
        Limit::Never => builder.timeout(Duration::ZERO),
        Limit::After(timeout) => builder.timeout(timeout),
    };
    builder = match url.connect_timeout {
        Limit::Unsaid => builder,
        Limit::Never => builder.connect_timeout(Duration::ZERO),
        Limit::After(timeout) => builder.connect_timeout(timeout),
    };
    Ok(match url.protocol {
        UrlProtocol::Auto => builder,
        UrlProtocol::Ascii => builder.protocol(MemcacheProtocol::Ascii),
        UrlProtocol::Meta => builder.protocol(MemcacheProtocol::Meta),
    })
}
