//! What becomes of the keys that cannot be read.

/// What a caller of a memcached pool gets for keys that cannot be read because their node fails.
///
/// In both cases the replies of the other nodes are read and their values returned. Requests that write
/// fail in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailedReads {
    /// An error: `get` and `gets` fail, and `get_many` has the error in the place of each key of that
    /// node. The default.
    #[default]
    Error,
    /// A miss, as if nothing were stored there: what an application does without its cache. The failures
    /// still count, and show in the metrics and events.
    Miss,
}
