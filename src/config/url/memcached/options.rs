//! Options of an item and of a `memcache+shard://` URL alike.

use super::super::options::one_of;
use super::MemcacheTls;
use super::Reason;
use super::UrlProtocol;

/// What is said of a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionOptions {
    pub(super) protocol: Option<UrlProtocol>,
    is_delayed: bool,
    verify: Option<bool>,
    ca_path: Option<String>,
    cert_path: Option<String>,
    key_path: Option<String>,
}

impl ConnectionOptions {
    pub(super) const NAMES: [&str; 6] =
        ["protocol", "tcp_nodelay", "verify_mode", "ca_path", "cert_path", "key_path"];

    /// Sets the option of this name, one of [`NAMES`](Self::NAMES).
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        match name {
            "protocol" => self.protocol = Some(protocol(value)?),
            "tcp_nodelay" => self.is_delayed = !one_of(&TRUTHS, value)?,
            "verify_mode" => self.verify = Some(one_of(&[("peer", true), ("none", false)], value)?),
            "ca_path" => self.ca_path = Some(path(value)?),
            "cert_path" => self.cert_path = Some(path(value)?),
            "key_path" => self.key_path = Some(path(value)?),
            _ => return Err(" is not known".into()),
        }
        Ok(())
    }

    pub(super) fn nodelay(&self) -> bool {
        !self.is_delayed
    }

    /// How the connection is secured.
    pub(super) fn tls(&self, is_tls: bool) -> Result<Option<MemcacheTls>, Reason> {
        let paths = [&self.ca_path, &self.cert_path, &self.key_path];
        if !is_tls {
            let names = ["ca_path", "cert_path", "key_path"].into_iter().zip(paths);
            let path = names.filter_map(|(name, path)| path.as_ref().map(|_| name)).next();
            return match self.verify.map(|_| "verify_mode").or(path) {
                Some(name) => {
                    Err(format!("option \"{name}\" is for TLS, which has the scheme memcache+tls"))
                }
                None => Ok(None),
            };
        }
        match (&self.cert_path, &self.key_path) {
            (Some(_), None) => return Err("there is a cert_path without a key_path".into()),
            (None, Some(_)) => return Err("there is a key_path without a cert_path".into()),
            _ => {}
        }
        let [ca_path, cert_path, key_path] = paths.map(Clone::clone);
        Ok(Some(MemcacheTls { verify: self.verify.unwrap_or(true), ca_path, cert_path, key_path }))
    }
}

pub(super) const TRUTHS: [(&str, bool); 2] = [("true", true), ("false", false)];

fn protocol(value: &str) -> Result<UrlProtocol, Reason> {
    if value == "binary" {
        return Err(": the binary protocol is not spoken, only meta and ascii; \
                    auto, or no option, is the better of these"
            .into());
    }
    let protocols =
        [("auto", UrlProtocol::Auto), ("meta", UrlProtocol::Meta), ("ascii", UrlProtocol::Ascii)];
    one_of(&protocols, value)
}

fn path(value: &str) -> Result<String, Reason> {
    match value {
        "" => Err(" is empty".into()),
        _ if value.contains('\0') => Err(" contains a NUL character".into()),
        _ => Ok(value.to_owned()),
    }
}
