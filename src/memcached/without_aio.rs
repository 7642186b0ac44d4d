//! In the place of the connections that tasks share, where they are not compiled in.

/// There are none.
#[derive(Debug, Default)]
pub(super) struct Slot(());
