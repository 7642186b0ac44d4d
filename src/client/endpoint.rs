//! How a node is reached.

use redis::ConnectionAddr;
use redis::ConnectionInfo;

use crate::error::Result;
use crate::error::ShardError;
use crate::node::Address;

/// Address, credentials, database, protocol and socket options of a node, as redis-rs has them.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    info: ConnectionInfo,
}

impl Endpoint {
    pub(crate) fn new(info: ConnectionInfo) -> Self {
        Self { info }
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The address in our words.
    ///
    /// # Errors
    ///
    /// If redis-rs knows a kind of address that we do not.
    pub(crate) fn address(&self) -> Result<Address> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Ok(Address::tcp(host, *port))
            }
            ConnectionAddr::Unix(path) => match path.to_str() {
                Some(path) => Ok(Address::Unix(path.to_owned())),
                None => Err(ShardError::configuration(format!(
                    "the path of the unix socket {} is not UTF-8",
                    path.display()
                ))),
            },
            other => Err(ShardError::configuration(format!(
                "an address of this kind cannot be used: {other}"
            ))),
        }
    }
}

/// Whether connections to the one are as good as connections to the other.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.info, &other.info);
        let has_certificates = |info: &ConnectionInfo| {
            matches!(info.addr(), ConnectionAddr::TcpTls { tls_params: Some(_), .. })
        };
        // redis-rs does not let certificates be compared.
        ours.addr() == theirs.addr()
            && !has_certificates(ours)
            && !has_certificates(theirs)
            && settings(ours) == settings(theirs)
    }
}

fn settings(info: &ConnectionInfo) -> impl PartialEq + '_ {
    let redis = info.redis_settings();
    (
        redis.db(),
        redis.username(),
        redis.password(),
        redis.protocol() == redis::ProtocolVersion::RESP2,
        redis.skip_set_lib_name(),
        redis.lib_name(),
        redis.lib_ver(),
        format!("{:?}", info.tcp_settings()),
    )
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::new(url.into_connection_info().unwrap())
    }

    #[test]
    fn other_credentials_are_another_endpoint() {
        assert_eq!(endpoint("redis://h:1/2"), endpoint("redis://h:1/2"));
        for other in
            ["redis://h:1", "redis://h:2/2", "redis://u:p@h:1/2", "redis://h:1/2?protocol=resp3"]
        {
            assert_ne!(endpoint("redis://h:1/2"), endpoint(other), "{other}");
        }
    }

    #[test]
    fn addresses_are_ours() {
        assert_eq!(endpoint("redis://h:1").address().unwrap(), Address::tcp("h", 1));
        assert_eq!(endpoint("redis://[::1]:7").address().unwrap(), Address::tcp("::1", 7));
        let unix = endpoint("unix:///run/a.sock").address().unwrap();
        assert_eq!(unix, Address::Unix("/run/a.sock".into()));
    }
}
