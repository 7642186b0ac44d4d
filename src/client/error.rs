//! Our error inside redis-rs's, and out of it again.
//!
//! The signatures of a drop-in say `RedisError`. It can carry a foreign error only as an I/O error, and
//! those of other kinds only as text: so that is how ours travel, and [`ShardError::of`] brings both back.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::ErrorKind;
use redis::RedisError;
use redis::ServerErrorKind;

use crate::error::ShardError;
use crate::error::ShardErrorKind;

impl From<ShardError> for RedisError {
    fn from(error: ShardError) -> Self {
        let kind = error.kind();
        let as_text = |redis_kind| Self::from((redis_kind, kind.as_str(), error.to_string()));
        let io_kind = match kind {
            ShardErrorKind::CrossShard => return as_text(ServerErrorKind::CrossSlot.into()),
            ShardErrorKind::Configuration => return as_text(ErrorKind::InvalidClientConfig),
            ShardErrorKind::Handshake => return as_text(ErrorKind::AuthenticationFailed),
            _ => error.as_io_kind(),
        };
        match io_kind {
            Some(io_kind) => Self::from(io::Error::new(io_kind, error)),
            None => as_text(ErrorKind::Client),
        }
    }
}

/// The kinds that travel as text.
const TEXTUAL: [ShardErrorKind; 4] = [
    ShardErrorKind::CrossShard,
    ShardErrorKind::Unroutable,
    ShardErrorKind::Configuration,
    ShardErrorKind::Handshake,
];

/// The codes of errors that stand in the place of a reply (`SHARDDOWN node 'a': …`).
const CODES: [(ShardErrorKind, &str); 5] = [
    (ShardErrorKind::Node, "SHARDDOWN"),
    (ShardErrorKind::Deadline, "SHARDTIMEOUT"),
    (ShardErrorKind::Ejected, "SHARDEJECTED"),
    (ShardErrorKind::Protocol, "SHARDPROTOCOL"),
    (ShardErrorKind::CrossShard, "CROSSSLOT"),
];

impl ShardError {
    /// The error of this crate that `error` carries, if it carries one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use redis::Commands;
    /// use shardwright::{ShardError, ShardErrorKind, ShardedClient};
    ///
    /// let client = ShardedClient::open("redis://10.0.0.1:6379,redis://10.0.0.2:6379")?;
    /// let mut connection = client.get_connection()?;
    /// let result: redis::RedisResult<()> = connection.set("key", "value");
    /// if let Err(error) = result
    ///     && let Some(error) = ShardError::of(&error)
    ///     && error.kind() == ShardErrorKind::Deadline
    /// {
    ///     eprintln!("{} is slow", error.node().unwrap_or("a node"));
    /// }
    /// # Ok::<(), redis::RedisError>(())
    /// ```
    pub fn of(error: &RedisError) -> Option<Self> {
        carried(error).or_else(|| spoken(error)).or_else(|| replied(error))
    }

    /// The text of an error that stands in the place of a reply.
    pub(crate) fn as_reply_text(&self) -> String {
        let code = CODES.iter().find(|(kind, _)| *kind == self.kind());
        format!("{} {self}", code.map_or("SHARDDOWN", |(_, code)| code))
    }
}

/// Out of an I/O error. redis-rs keeps it behind two pointers.
fn carried(error: &RedisError) -> Option<ShardError> {
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    let io_error = (**shared).downcast_ref::<io::Error>()?;
    io_error.get_ref()?.downcast_ref::<ShardError>().cloned()
}

/// Out of the text of an error of another kind, which begins with the kind's own words.
fn spoken(error: &RedisError) -> Option<ShardError> {
    let text = error.to_string();
    let (what, _) = text.split_once(" - ")?;
    let kind = TEXTUAL.into_iter().find(|kind| kind.as_str() == what)?;
    Some(read(kind, error.detail()?))
}

/// Out of an error that stood in the place of a reply, which in a pipeline is one of several.
fn replied(error: &RedisError) -> Option<ShardError> {
    let errors = error.clone().into_server_errors()?;
    errors.iter().find_map(|(_, error)| {
        let (kind, _) = CODES.iter().find(|(_, code)| *code == error.code())?;
        let detail = error.details()?;
        // A server's own CROSSSLOT says something else.
        let is_ours = detail.starts_with("node '") || detail.starts_with("keys of '");
        is_ours.then(|| read(*kind, detail))
    })
}

fn read(kind: ShardErrorKind, text: &str) -> ShardError {
    let named = text.strip_prefix("node '").and_then(|rest| rest.split_once("': "));
    let error = match named {
        Some((node, message)) => ShardError::new(kind, message).with_node(node),
        None => ShardError::new(kind, text),
    };
    if kind == ShardErrorKind::CrossShard { error.with_keys(quoted(text)) } else { error }
}

/// The byte strings between double quotes, as `escape_ascii` wrote them.
fn quoted(text: &str) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {}
            // Of a node's name.
            b'\\' => {
                bytes.next();
                continue;
            }
            _ => continue,
        }
        let mut string = Vec::new();
        while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
            string.push(match byte {
                b'\\' => match bytes.next() {
                    Some(b't') => b'\t',
                    Some(b'r') => b'\r',
                    Some(b'n') => b'\n',
                    Some(b'x') => hex_digit(bytes.next()) << 4 | hex_digit(bytes.next()),
                    Some(other) => other,
                    None => break,
                },
                other => other,
            });
        }
        strings.push(string);
    }
    strings
}

fn hex_digit(byte: Option<u8>) -> u8 {
    byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::client::wire::error_value;

    const ALL: [ShardErrorKind; 10] = [
        ShardErrorKind::Configuration,
        ShardErrorKind::CrossShard,
        ShardErrorKind::Unroutable,
        ShardErrorKind::Ejected,
        ShardErrorKind::NoLiveNode,
        ShardErrorKind::Node,
        ShardErrorKind::Deadline,
        ShardErrorKind::Protocol,
        ShardErrorKind::Handshake,
        ShardErrorKind::TransactionLost,
    ];

    #[test]
    fn every_kind_comes_back_with_its_node_and_its_text() {
        for kind in ALL {
            let error = ShardError::new(kind, "something: happened").with_node("it's a node");
            let back = ShardError::of(&RedisError::from(error.clone())).unwrap();
            assert_eq!(back.kind(), kind);
            assert_eq!(back.node(), error.node());
            assert_eq!(back.to_string(), error.to_string());
        }
    }

    #[test]
    fn redis_rs_sees_what_it_would_of_one_connection() {
        let redis = |kind| RedisError::from(ShardError::new(kind, "x"));
        assert!(redis(ShardErrorKind::Deadline).is_timeout());
        assert!(redis(ShardErrorKind::Ejected).is_connection_dropped());
        assert!(redis(ShardErrorKind::TransactionLost).is_connection_dropped());
        let crossed = redis(ShardErrorKind::CrossShard);
        assert_eq!(crossed.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot));
        let refused = ShardError::new(ShardErrorKind::Node, "x")
            .with_io_kind(io::ErrorKind::ConnectionRefused);
        assert!(RedisError::from(refused).is_connection_refusal());
    }

    #[test]
    fn an_error_in_the_place_of_a_reply_comes_back_too() {
        for (kind, _) in CODES.into_iter().take(4) {
            let error = ShardError::new(kind, "no reply in 5ms").with_node("a");
            let Value::ServerError(reply) = error_value(&error.as_reply_text()) else {
                panic!("no error");
            };
            let back = ShardError::of(&RedisError::from(reply)).unwrap();
            assert_eq!((back.kind(), back.node()), (kind, Some("a")));
        }
    }

    #[test]
    fn errors_of_others_are_not_taken_for_ours() {
        let io_error = RedisError::from(io::Error::other("x"));
        assert!(ShardError::of(&io_error).is_none());
        assert!(ShardError::of(&RedisError::from((ErrorKind::Client, "x", "y".into()))).is_none());
        let Value::ServerError(reply) = error_value("CROSSSLOT Keys in request don't hash") else {
            panic!("no error");
        };
        assert!(ShardError::of(&RedisError::from(reply)).is_none());
    }

    proptest::proptest! {
        #[test]
        fn keys_come_back_byte_for_byte(one: Vec<u8>, other: Vec<u8>) {
            let text = format!(
                "keys of 'SINTER' are on different nodes: \"{}\" is on 'a', \"{}\" is on 'b'; …",
                one.escape_ascii(),
                other.escape_ascii()
            );
            let error = RedisError::from(ShardError::new(ShardErrorKind::CrossShard, text));
            let back = ShardError::of(&error).unwrap();
            proptest::prop_assert_eq!(back.keys(), &[one, other]);
        }
    }
}
