//! What stands in front of `://`.

use super::super::scheme::split_of;
use super::Reason;

/// What a scheme means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A host, or if there is none a unix socket.
    Any,
    Tcp,
    Tls,
    Unix,
    /// Refused.
    Udp,
    /// Several nodes.
    Shard {
        is_tls: bool,
    },
}

const SCHEMES: [(&str, Scheme); 7] = [
    ("memcache", Scheme::Any),
    ("memcache+tcp", Scheme::Tcp),
    ("memcache+tls", Scheme::Tls),
    ("memcache+unix", Scheme::Unix),
    ("memcache+udp", Scheme::Udp),
    ("memcache+shard", Scheme::Shard { is_tls: false }),
    ("memcache+tls+shard", Scheme::Shard { is_tls: true }),
];

/// The scheme of `text` and what stands behind its colon, which begins with a slash. `None` if there
/// is no scheme.
pub(super) fn split(text: &str) -> Result<Option<(Scheme, &str)>, Reason> {
    split_of(&SCHEMES, text)
}
