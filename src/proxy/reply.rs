//! What the proxy says itself: nutcracker's texts where it has any, Redis's and memcached's own where they have.

use std::io;

use super::core::Closed;
use super::settings::Endpoint;
use super::settings::Protocol;
use crate::protocol::memcache::write_auth;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// An error for a client: `-ERR text`, `SERVER_ERROR text` (nutcracker 0.5.0 `nc_request.c` `req_error` and
/// `nc_redis.c` `redis_error`).
pub(super) fn error(protocol: Protocol, text: &[u8]) -> Vec<u8> {
    let start: &[u8] = match protocol {
        // What begins with a word of its own needs no other.
        Protocol::Redis if has_code(text) => b"-",
        Protocol::Redis => b"-ERR ",
        Protocol::Memcache => b"SERVER_ERROR ",
    };
    // A line end in it would begin another reply.
    let clean = text.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte });
    start.iter().copied().chain(clean).chain(*b"\r\n").collect()
}

/// Whether `text` begins with an error code, as `EXECABORT` is one.
fn has_code(text: &[u8]) -> bool {
    let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    word.len() > 2 && word.iter().all(u8::is_ascii_uppercase)
}

/// nutcracker's word for what became of a connection: the system's, but for what the system has none for.
pub(super) fn of_closed(closed: &Closed) -> String {
    match closed {
        Closed::Eof => "Connection closed by server".into(),
        Closed::Io(error) => of_io(error),
        Closed::Unresolved => "Host is down".into(),
        Closed::Broken(_) => "Invalid argument".into(),
        // What it says to whoever it does not let in, it says to all.
        Closed::Refused(text) => text.clone(),
        Closed::Silent => "Connection timed out".into(),
        Closed::Unneeded => "Connection closed".into(),
    }
}

/// The system's text for an error, without what Rust puts behind it.
pub(super) fn of_io(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// The same for a log, with what is known besides.
pub(super) fn describe(closed: &Closed) -> String {
    match closed {
        Closed::Eof => "closed the connection with requests under way".into(),
        Closed::Io(error) => error.to_string(),
        Closed::Unresolved => "its name has no address".into(),
        Closed::Broken(what) => format!("broken reply: {what}"),
        Closed::Refused(word) => format!("refused the handshake: {word}"),
        Closed::Silent => "has not answered for too long".into(),
        Closed::Unneeded => "not needed any more".into(),
    }
}

/// Whether it is this process or its machine that is out of something, and not the node.
pub(super) fn is_ours(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL.
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    let code = error.raw_os_error();
    ours.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// What a node is told first, and how many replies that has; `None` if nothing.
pub(super) fn greeting(endpoint: &Endpoint, is_resp3: bool) -> Option<(Vec<u8>, u8)> {
    let mut out = Vec::new();
    let mut replies = 0;
    match endpoint.protocol {
        Protocol::Memcache => {
            if let Some(credentials) = &endpoint.credentials {
                let user = credentials.user.as_deref().unwrap_or_default();
                write_auth(&mut out, user.as_bytes(), credentials.password.as_bytes());
                replies += 1;
            }
        }
        Protocol::Redis => {
            let mut say = |args: &[&str]| {
                write_array_header(&mut out, args.len());
                args.iter().for_each(|argument| write_bulk_string(&mut out, argument.as_bytes()));
                replies += 1;
            };
            if let Some(credentials) = &endpoint.credentials {
                match &credentials.user {
                    Some(user) => say(&["AUTH", user, &credentials.password]),
                    None => say(&["AUTH", &credentials.password]),
                }
            }
            if is_resp3 {
                say(&["HELLO", "3"]);
            }
            if endpoint.database > 0 {
                say(&["SELECT", &endpoint.database.to_string()]);
            }
        }
    }
    (replies > 0).then_some((out, replies))
}

/// What an ejected node is asked.
pub(super) fn probe(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Redis => b"*1\r\n$4\r\nPING\r\n",
        Protocol::Memcache => b"version\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(error(Protocol::Redis, b"a\r\nb"), b"-ERR a  b\r\n");
        assert_eq!(error(Protocol::Redis, b"EXECABORT x"), b"-EXECABORT x\r\n");
        assert_eq!(error(Protocol::Memcache, b"x"), b"SERVER_ERROR x\r\n");
    }

    #[test]
    fn the_texts_of_the_system_are_nutcrackers() {
        let refused = io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
        assert_eq!(of_io(&refused), "Connection refused");
        assert!(!is_ours(&refused));
        let none_left = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(of_io(&none_left), "Too many open files");
        assert!(is_ours(&none_left));
    }
}
