//! Bytes on the wire, without a socket.

pub(crate) mod resp;
