//! RESP, Redis's protocol: where a reply ends, what a request says, how a request is written.
//!
//! Nothing here owns a socket or copies an argument: a [`Scanner`] finds the end of a reply however the
//! input was cut, and [`request`] reads a command as slices of its bytes.

mod encode;
#[cfg(feature = "proxy")]
mod frame;
#[cfg(any(feature = "proxy", feature = "_fuzz"))]
mod inline;
mod line;
mod request;
mod scanner;

#[cfg(feature = "proxy")]
pub(crate) use encode::append_start;
pub(crate) use encode::write_array_header;
pub(crate) use encode::write_bulk_string;
#[cfg(feature = "proxy")]
pub(crate) use frame::Frame;
#[cfg(feature = "proxy")]
pub(crate) use frame::frame;
#[cfg(any(feature = "proxy", feature = "_fuzz"))]
pub(crate) use inline::inline;
#[cfg(feature = "proxy")]
pub(crate) use line::ShortStrings;
pub(crate) use request::RequestError;
#[cfg(feature = "proxy")]
pub(crate) use request::cut_request;
pub(crate) use request::request;
pub(crate) use scanner::Body;
pub(crate) use scanner::BrokenFrame;
pub(crate) use scanner::Header;
pub(crate) use scanner::Scanner;
#[cfg(test)]
pub(crate) use scanner::tests::replies;
