//! The parts of a URL: user, hosts, path, query and fragment.

use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::Family;
use super::Reason;
use super::Tls;
use crate::node::Address;

/// A URL cut up, nothing decoded.
#[derive(Default)]
pub(super) struct Parts<'a> {
    /// What stands before the `@`.
    pub(super) user: Option<&'a str>,
    /// The host and its port, or several of them.
    pub(super) hosts: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Cuts up what stands behind the colon of a scheme.
    pub(super) fn of(rest: &'a str) -> Result<Self, Reason> {
        let rest = rest.strip_prefix("//").ok_or("two slashes follow the scheme")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // The last one: an `@` in a password is not always encoded, as in the `url` crate.
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        if rest.contains('@') {
            // The rest of a password, in all likelihood: nothing of it may be shown.
            return Err("there is an @ behind the host; in a user name or a password write \
                        / ? # @ as %2F %3F %23 %40"
                .into());
        }
        let mut parts = Self { user, hosts, ..Self::behind_authority(rest) };
        parts.path = parts.path.trim_matches('/');
        Ok(parts)
    }

    /// Cuts up a path and what follows it.
    pub(super) fn behind_authority(rest: &'a str) -> Self {
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self { path, query, fragment, ..Self::default() }
    }

    /// The user name and the password.
    pub(super) fn credentials(&self) -> Result<(Option<String>, Option<String>), Reason> {
        let user = self.user.unwrap_or_default();
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let some = |text: &str, what: &str| match decoded(text) {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None => Err(format!("the {what} is not UTF-8")),
        };
        Ok((some(name, "user name")?, some(password, "password")?))
    }

    /// The number of the database.
    pub(super) fn database(&self) -> Result<i64, Reason> {
        match self.path {
            "" => Ok(0),
            path => database(path),
        }
    }

    pub(super) fn tls(&self, is_tls: bool) -> Result<Tls, Reason> {
        match self.fragment {
            None if is_tls => Ok(Tls::On),
            None => Ok(Tls::Off),
            Some("insecure") if is_tls => Ok(Tls::Insecure),
            Some("insecure") => Err("#insecure is for TLS, which has the scheme rediss".into()),
            Some(other) => Err(format!("\"#{other}\" is not #insecure")),
        }
    }
}

/// Reads `host`, `host:port` or `[IPv6]:port`. As in redis-rs a host is not decoded.
pub(super) fn address(text: &str, family: Family) -> Result<Address, Reason> {
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, rest) = text.split_once(']').ok_or("a bracket is not closed")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err(format!("\"[{host}]\" is not an IPv6 address"));
            }
            let port = match rest {
                "" => "",
                _ => rest.strip_prefix(':').ok_or_else(|| {
                    format!("\"{rest}\" follows the IPv6 address, not a colon and a port")
                })?,
            };
            (host, port)
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            if port.contains(':') {
                return Err("an IPv6 address stands in brackets".into());
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err("there is no host".into());
    }
    if host.contains(',') {
        return Err("there is a comma in the host: each URL of several names one node".into());
    }
    if host.contains(['*', '=']) {
        return Err(format!("weights and names (*, =) are for {} URLs", family.shard()));
    }
    if host.contains(|c: char| !c.is_ascii_graphic() || "#/<>?@[\\]^|%".contains(c)) {
        return Err(format!("\"{host}\" is not a host"));
    }
    let is_wildcard = host.parse().is_ok_and(|host: Ipv4Addr| host.is_unspecified())
        || host.parse().is_ok_and(|host: Ipv6Addr| host.is_unspecified());
    if is_wildcard {
        return Err(format!("\"{host}\" is a wildcard: one can listen there, but not connect"));
    }
    Ok(Address::tcp(host, self::port(port, family)?))
}

/// The address of a unix socket.
pub(super) fn unix(path: String) -> Result<Address, Reason> {
    if path.contains('\0') {
        return Err("the path contains a NUL character".into());
    }
    Ok(Address::Unix(path))
}

pub(super) fn database(text: &str) -> Result<i64, Reason> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    // It may be a password in the wrong place.
    number.ok_or_else(|| "the database behind the slash is not a number".into())
}

/// `text` percent-decoded, unless that is not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

fn port(text: &str, family: Family) -> Result<u16, Reason> {
    if text.is_empty() {
        return Ok(family.port());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        // It may be a password in the wrong place.
        return Err("the port is not a number; a password is followed by an @ and the host".into());
    }
    let port = text.parse().ok().filter(|&port: &u16| port > 0);
    port.ok_or_else(|| format!("port {text} is not between 1 and 65535"))
}
