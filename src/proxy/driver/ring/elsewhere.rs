//! Only Linux has io_uring.

use std::convert::Infallible;
use std::io;
use std::os::fd::BorrowedFd;

/// There is none.
#[derive(Debug)]
pub(in crate::proxy::driver) struct Ring(Infallible);

impl Ring {
    /// # Errors
    ///
    /// Always.
    pub(in crate::proxy::driver) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::proxy::driver) fn send_all<'a>(
        &mut self,
        _sends: impl Iterator<Item = Option<(BorrowedFd<'a>, &'a [u8])>>,
        _sent: &mut Vec<io::Result<usize>>,
    ) -> io::Result<()> {
        match self.0 {}
    }
}
