//! Where a pool listens.

use std::fmt;

use crate::node::Address;
use crate::node::decimal;

/// Longest path of a unix socket: the room for it in C, less its NUL.
const MAX_PATH: usize = 107;

/// Where a pool listens: `host:port`, or the path of a unix socket and perhaps its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    text: String,
    address: Address,
    mode: Option<u32>,
}

impl Listen {
    /// Reads `host:port` or `/path[ mode]` from the end, as nutcracker does; the errors are its own
    /// (0.5.0 `nc_conf.c` `conf_set_listen`). Names are not resolved, and an IPv6 host may stand in
    /// brackets.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, mode) = if text.starts_with('/') {
            let (path, mode) = match text.rsplit_once(' ') {
                Some((path, mode)) => (path, octal(mode)),
                None => (text, Some(0)),
            };
            let mode = mode.filter(|&mode| mode <= 0o777).ok_or(
                "has an invalid file permission in \"socket_path permission\" format string",
            )?;
            if path.len() > MAX_PATH {
                return Err("has an invalid value");
            }
            (Address::Unix(path.to_owned()), (mode != 0).then_some(mode))
        } else {
            let (host, port) =
                text.rsplit_once(':').ok_or("has an invalid \"hostname:port\" format string")?;
            let port = decimal(port)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|&port| port > 0)
                .ok_or("has an invalid port in \"hostname:port\" format string")?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host = bare.unwrap_or(host);
            // No resolver has an address for these.
            if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err("has an invalid value");
            }
            (Address::tcp(host, port), None)
        };
        Ok(Self { text: text.to_owned(), address, mode })
    }

    /// The text in the file.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The permissions the socket file is to get (`0o660`); `None` leaves it to the umask.
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// C's `strtol` in base 8, which nutcracker asks: white space and a sign may come first, and what
/// follows the digits does not matter, nor whether there are any. `None` if it is out of range.
fn octal(text: &str) -> Option<u32> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|digit: char| !digit.is_digit(8)).unwrap_or(text.len());
    match u32::from_str_radix(&text[..end], 8) {
        Ok(mode) if mode > 0 && is_negative => None,
        Ok(mode) => Some(mode),
        Err(_) => text[..end].is_empty().then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_strtol_reads_it() {
        for (text, mode) in [
            ("0777", Some(0o777)),
            ("640", Some(0o640)),
            ("+7", Some(7)),
            ("\t755x", Some(0o755)),
            ("", Some(0)),
            ("abc", Some(0)),
            ("999", Some(0)),
            ("-0", Some(0)),
            ("-1", None),
            ("7777777777777777777777777", None),
        ] {
            assert_eq!(octal(text), mode, "{text:?}");
        }
    }

    #[test]
    fn addresses_and_modes_are_told_apart() {
        let tcp = |host: &str, port| (Address::tcp(host, port), None);
        let unix = |path: &str, mode| (Address::Unix(path.into()), mode);
        for (text, (address, mode)) in [
            ("127.0.0.1:22121", tcp("127.0.0.1", 22121)),
            ("cache.example:0022121", tcp("cache.example", 22121)),
            ("::1:22121", tcp("::1", 22121)),
            ("[::1]:22121", tcp("::1", 22121)),
            ("/run/a.sock", unix("/run/a.sock", None)),
            ("/run/a.sock 0660", unix("/run/a.sock", Some(0o660))),
            ("/run/a b 660", unix("/run/a b", Some(0o660))),
            ("/run/a.sock abc", unix("/run/a.sock", None)),
        ] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!((listen.address(), listen.mode()), (&address, mode), "{text:?}");
            assert_eq!(listen.to_string(), text);
        }
    }
}
