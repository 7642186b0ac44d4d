//! What memcached really says, read and written by our own code; and after which errors the next request
//! gets its own reply.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::protocol::memcache;
use crate::support::memcached::Memcached;

#[cfg(feature = "proxy")]
mod serving;

use memcache::BrokenReply;
use memcache::Dialect;
use memcache::ErrorReply;
use memcache::Kind;
use memcache::ProgressOf;
use memcache::Reply;
use memcache::Request;
use memcache::StoreMode;

const DIALECTS: [Dialect; 2] = [Dialect::Classic, Dialect::Meta];
/// One byte more than fits into an item of 1 MiB with its key.
const TOO_LARGE: usize = 1 << 20;

/// A connection and what was read of it too early.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    dialect: Dialect,
    opaque: u32,
}

impl Connection {
    fn open(server: &Memcached, dialect: Dialect) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, read: Vec::new(), dialect, opaque: u32::MAX - 3 }
    }

    /// What memcached replies, as text.
    fn ask(&mut self, key: &str, request: Request<'_>) -> String {
        self.opaque = self.opaque.wrapping_add(1);
        let (dialect, opaque, key) = (self.dialect, self.opaque, key.as_bytes());
        let mut out = Vec::new();
        memcache::write(&mut out, dialect, key, &request, opaque);
        self.stream.write_all(&out).unwrap();
        self.receive(|bytes| {
            Ok(memcache::read(bytes, dialect, request.kind(), key, opaque)?.map(say))
        })
    }

    fn store(&mut self, key: &str, mode: StoreMode, data: &[u8]) -> String {
        self.ask(key, Request::Store { mode, flags: 5, expiration: 0, data })
    }

    fn get(&mut self, key: &str) -> String {
        self.ask(key, Request::Get { with_cas: false })
    }

    /// The number of the value of `key`.
    fn cas(&mut self, key: &str) -> u64 {
        let reply = self.ask(key, Request::Get { with_cas: true });
        reply.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn receive(
        &mut self,
        read: impl Fn(&[u8]) -> Result<ProgressOf<String>, BrokenReply>,
    ) -> String {
        loop {
            match read(&self.read).unwrap() {
                ProgressOf::Whole(reply, length) => {
                    self.read.drain(..length);
                    return reply;
                }
                ProgressOf::Missing(count) => {
                    // If too many were said to be missing, this waits in vain.
                    let start = self.read.len();
                    self.read.resize(start + count, 0);
                    self.stream.read_exact(&mut self.read[start..]).unwrap();
                }
            }
        }
    }

    /// Whether the next request gets its own reply, the server's error having been read.
    fn is_in_step(&mut self) -> bool {
        self.send(b"mn\r\n");
        self.receive(|bytes| Ok(line(bytes))) == "MN"
    }
}

impl<T> ProgressOf<T> {
    fn map(self, say: impl FnOnce(T) -> String) -> ProgressOf<String> {
        match self {
            Self::Whole(reply, length) => ProgressOf::Whole(say(reply), length),
            Self::Missing(count) => ProgressOf::Missing(count),
        }
    }
}

/// Any line.
fn line(bytes: &[u8]) -> ProgressOf<String> {
    match bytes.windows(2).position(|window| window == b"\r\n") {
        Some(end) => ProgressOf::Whole(text(&bytes[..end]), end + 2),
        None => ProgressOf::Missing(1),
    }
}

fn say(reply: Reply<'_>) -> String {
    match reply {
        Reply::Value { data, flags, cas } => {
            let cas = cas.map(|cas| format!(" {cas}")).unwrap_or_default();
            format!("{} {flags}{cas}", text(data))
        }
        Reply::Error(error) => say_error(error),
        other => format!("{other:?}"),
    }
}

fn say_error(error: ErrorReply<'_>) -> String {
    match error {
        ErrorReply::Unknown => "unknown".into(),
        ErrorReply::Client(reason) => format!("client: {}", text(reason)),
        ErrorReply::Server(reason) => format!("server: {}", text(reason)),
    }
}

fn answer<T: std::fmt::Debug>(answer: Result<T, ErrorReply<'_>>) -> String {
    answer.map_or_else(say_error, |answer| format!("{answer:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `test` in both protocols, with a server each.
fn in_both(arguments: &[&str], test: impl Fn(&mut Connection)) {
    for dialect in DIALECTS {
        let Some(server) = Memcached::start_with(arguments) else { return };
        test(&mut Connection::open(&server, dialect));
    }
}

#[test]
fn values_are_stored_fetched_and_deleted() {
    in_both(&[], |it| {
        assert_eq!(it.get("k"), "Miss");
        assert_eq!(it.store("k", StoreMode::Replace, b"0"), "NotStored");
        assert_eq!(it.store("k", StoreMode::Append, b"0"), "NotStored");
        assert_eq!(it.store("k", StoreMode::Prepend, b"0"), "NotStored");
        assert_eq!(it.store("k", StoreMode::Add, b"a\r\nEND\r\n"), "Stored");
        assert_eq!(it.store("k", StoreMode::Add, b"0"), "NotStored");
        assert_eq!(it.get("k"), "a\r\nEND\r\n 5");
        assert_eq!(it.store("k", StoreMode::Replace, b""), "Stored");
        assert_eq!(it.get("k"), " 5");
        assert_eq!(it.ask("k", Request::Delete), "Deleted");
        assert_eq!(it.ask("k", Request::Delete), "NotFound");

        let high = "\u{e9}\u{4e16}".repeat(50);
        assert_eq!(it.store(&high, StoreMode::Set, &vec![b'x'; TOO_LARGE - 9999]), "Stored");
        assert_eq!(it.get(&high).len(), TOO_LARGE - 9999 + 2);
    });
}

#[test]
fn a_number_says_whether_a_value_has_changed() {
    in_both(&[], |it| {
        assert_eq!(it.store("k", StoreMode::Cas(1), b"0"), "NotFound");
        assert_eq!(it.store("k", StoreMode::Set, b"0"), "Stored");
        let cas = it.cas("k");
        assert_eq!(it.store("k", StoreMode::Cas(cas + 1), b"1"), "Exists");
        assert_eq!(it.store("k", StoreMode::Cas(cas), b"2"), "Stored");
        assert_eq!(it.store("k", StoreMode::Cas(cas), b"3"), "Exists");
        assert_eq!(it.get("k"), "2 5");
    });
}

#[test]
fn what_is_added_to_keeps_its_flags_and_its_expiration() {
    in_both(&[], |it| {
        let [flags, expiration] = [u32::MAX, 1000];
        it.ask("k", Request::Store { mode: StoreMode::Set, flags, expiration, data: b"b" });
        for (mode, data) in [(StoreMode::Append, b"c"), (StoreMode::Prepend, b"a")] {
            let store = Request::Store { mode, flags: 7, expiration: 50_000, data };
            assert_eq!(it.ask("k", store), "Stored");
        }
        it.send(b"mg k v f t\r\n");
        let head = it.receive(|bytes| Ok(line(bytes)));
        let left = head.strip_prefix("VA 3 f4294967295 t").map(str::parse::<u32>);
        assert!(
            left.is_some_and(|left| left.is_ok_and(|left| (1..=1000).contains(&left))),
            "{head}"
        );
        assert_eq!(it.receive(|bytes| Ok(line(bytes))), "abc");
    });
}

#[test]
fn expirations_are_touched() {
    in_both(&[], |it| {
        assert_eq!(it.ask("k", Request::Touch { expiration: 0 }), "NotFound");
        assert_eq!(it.store("k", StoreMode::Set, b"a"), "Stored");
        assert_eq!(it.ask("k", Request::Touch { expiration: 1000 }), "Touched");
        assert_eq!(it.get("k"), "a 5");
        // More than 2^31 would be in the past for memcached.
        assert_eq!(it.ask("k", Request::Touch { expiration: u32::MAX }), "Touched");
        assert_eq!(it.get("k"), "a 5");
    });
}

#[test]
fn numbers_are_counted_up_and_down() {
    in_both(&[], |it| {
        assert_eq!(it.ask("n", Request::Increment { delta: 1, creates: false }), "NotFound");
        assert_eq!(it.ask("n", Request::Decrement { delta: 1, creates: false }), "NotFound");
        it.store("n", StoreMode::Set, b"100");
        // The value is padded with a space then, the reply is not.
        assert_eq!(it.ask("n", Request::Decrement { delta: 1, creates: false }), "Number(99)");
        assert_eq!(it.get("n"), "99  5");
        assert_eq!(
            it.ask("n", Request::Decrement { delta: u64::MAX, creates: false }),
            "Number(0)"
        );
        assert_eq!(
            it.ask("n", Request::Increment { delta: u64::MAX, creates: false }),
            "Number(18446744073709551615)"
        );
        assert_eq!(it.ask("n", Request::Increment { delta: 3, creates: false }), "Number(2)");
        it.store("n", StoreMode::Set, b"a");
        let refused = "client: cannot increment or decrement non-numeric value";
        assert_eq!(it.ask("n", Request::Increment { delta: 3, creates: false }), refused);
        assert!(it.is_in_step());
    });
}

#[test]
fn a_value_that_is_too_large_is_swallowed() {
    in_both(&[], |it| {
        let value = vec![b'x'; TOO_LARGE];
        let refused = "server: object too large for cache";
        for mode in [StoreMode::Set, StoreMode::Add, StoreMode::Append, StoreMode::Cas(1)] {
            assert_eq!(it.store("k", mode, &value), refused);
            assert!(it.is_in_step());
        }
        // What grows too large is another thing.
        assert_eq!(it.store("k", StoreMode::Set, &value[9999..]), "Stored");
        assert_eq!(it.store("k", StoreMode::Append, &value[..9999]), "NotStored");
        assert!(it.is_in_step());
    });
    // Without evictions.
    in_both(&["-M", "-m", "2"], |it| {
        let value = vec![b'x'; 500_000];
        let replies: Vec<_> =
            (0..9).map(|key| it.store(&key.to_string(), StoreMode::Set, &value)).collect();
        assert_eq!(replies[8], "server: out of memory storing object", "{replies:?}");
        assert!(it.is_in_step());
    });
}

/// Requests that [`memcache::write`] does not write, and what is replied.
#[test]
fn errors_leave_in_step_or_they_do_not() {
    let Some(server) = Memcached::start() else { return };
    let format = "client: bad command line format";
    let long = "k".repeat(251);
    for (dialect, kind, request, expected, is_in_step) in [
        (Dialect::Classic, Kind::Get { with_cas: false }, format!("get {long}\r\n"), format, true),
        (Dialect::Classic, Kind::Delete, format!("delete {long}\r\n"), format, true),
        (Dialect::Classic, Kind::Arithmetic, format!("incr {long} 1\r\n"), format, true),
        (Dialect::Classic, Kind::Touch, format!("touch {long} 1\r\n"), format, true),
        (Dialect::Classic, Kind::Store, format!("set {long} 0 0 1\r\na\r\n"), format, false),
        (Dialect::Classic, Kind::Store, "set k 0 x 1\r\na\r\n".into(), format, false),
        (
            Dialect::Classic,
            Kind::Store,
            "set k 0 0 1\r\nabc\r\n".into(),
            "client: bad data chunk",
            false,
        ),
        (Dialect::Classic, Kind::Store, "sett k 0 0 1\r\na\r\n".into(), "unknown", false),
        (Dialect::Classic, Kind::Delete, "deleted k\r\n".into(), "unknown", true),
        (
            Dialect::Classic,
            Kind::Arithmetic,
            "incr k x\r\n".into(),
            "client: invalid numeric delta argument",
            true,
        ),
        (Dialect::Meta, Kind::Get { with_cas: false }, format!("mg {long} v O1\r\n"), format, true),
        (
            Dialect::Meta,
            Kind::Get { with_cas: false },
            "mg k v v O1\r\n".into(),
            "client: duplicate flag",
            true,
        ),
        (Dialect::Meta, Kind::Delete, format!("md {long} O1\r\n"), format, true),
        (Dialect::Meta, Kind::Arithmetic, format!("ma {long} MI v D1 O1\r\n"), format, true),
        (Dialect::Meta, Kind::Store, format!("ms {long} 1 F0 O1\r\na\r\n"), format, false),
        (Dialect::Meta, Kind::Store, "ms k x F0 O1\r\na\r\n".into(), format, false),
        (
            Dialect::Meta,
            Kind::Store,
            "ms k 1 F0 O1\r\nabc\r\n".into(),
            "client: bad data chunk",
            false,
        ),
    ] {
        let mut it = Connection::open(&server, dialect);
        it.send(request.as_bytes());
        let leaves = std::cell::Cell::new(None);
        let said = it.receive(|bytes| {
            Ok(memcache::read(bytes, dialect, kind, b"k", 1)?.map(|reply| {
                if let Reply::Error(error) = reply {
                    leaves.set(Some(error.leaves_in_step(kind)));
                }
                say(reply)
            }))
        });
        assert_eq!((said.as_str(), leaves.get()), (expected, Some(is_in_step)), "{request:?}");
        assert_eq!(it.is_in_step(), is_in_step, "{request:?}");
    }
}

#[test]
fn a_server_asks_for_a_user() {
    let users = std::env::temp_dir().join(format!("shardwright-users-{}", std::process::id()));
    std::fs::write(&users, "user:pass\n").unwrap();
    in_both(&["-Y", users.to_str().unwrap()], |it| {
        let auth = |it: &mut Connection, user: &[u8], password: &[u8]| {
            let mut out = Vec::new();
            memcache::write_auth(&mut out, user, password);
            it.send(&out);
            it.receive(|bytes| Ok(memcache::read_auth(bytes)?.map(answer)))
        };
        assert_eq!(it.ask("k", Request::Delete), "client: unauthenticated");
        // Both are thrown away, for one reply.
        it.send(b"get k\r\nversion\r\n");
        let read = |bytes: &[u8]| Ok(memcache::read_version(bytes)?.map(answer));
        assert_eq!(it.receive(read), "client: unauthenticated");
        assert_eq!(auth(it, b"user", b"word"), "client: authentication failure");
        assert_eq!(auth(it, b"user", b"pass"), "()");
        assert_eq!(it.get("k"), "Miss");
    });
    std::fs::remove_file(users).unwrap();
}

#[test]
fn a_node_is_asked_as_a_whole() {
    in_both(&[], |it| {
        let mut out = Vec::new();
        memcache::write_version(&mut out);
        memcache::write_meta_noop(&mut out);
        memcache::write_flush(&mut out, None);
        memcache::write_flush(&mut out, Some(u32::MAX));
        memcache::write_stats(&mut out, Some(b"reset"));
        memcache::write_stats(&mut out, Some(b"nosuch"));
        it.send(&out);
        let version =
            it.receive(|bytes| Ok(memcache::read_version(bytes)?.map(|it| text(it.unwrap()))));
        assert!(version.starts_with("1."), "{version}");
        assert_eq!(it.receive(|bytes| Ok(memcache::read_meta_noop(bytes)?.map(answer))), "()");
        for _ in 0..2 {
            assert_eq!(it.receive(|bytes| Ok(memcache::read_flush(bytes)?.map(answer))), "()");
        }
        let stat = |bytes: &[u8]| {
            Ok(memcache::read_stat(bytes)?.map(|stat| match stat {
                Ok(Some((name, value))) => format!("{}={}", text(name), text(value)),
                Ok(None) => "end".into(),
                Err(error) => say_error(error),
            }))
        };
        assert_eq!(it.receive(stat), "end");
        assert_eq!(it.receive(stat), "unknown");

        for group in [None, Some(&b"settings"[..])] {
            let mut out = Vec::new();
            memcache::write_stats(&mut out, group);
            it.send(&out);
            let mut stats = Vec::new();
            while stats.last().is_none_or(|last| last != "end") {
                stats.push(it.receive(stat));
            }
            assert!(stats.len() > 20, "{stats:?}");
            let known = if group.is_some() { "maxbytes=67108864" } else { "curr_items=0" };
            assert!(stats.iter().any(|stat| stat == known), "{stats:?}");
        }
        assert!(it.read.is_empty());
    });
}

#[test]
fn a_server_with_too_many_connections_says_so() {
    let Some(server) = Memcached::start_with(&["-c", "64", "-t", "1"]) else { return };
    let mut connections: Vec<_> =
        (0..70).map(|_| Connection::open(&server, Dialect::Meta)).collect();
    let mut bytes = [0; 33];
    connections[69].stream.read_exact(&mut bytes).unwrap();
    assert_eq!(memcache::read_version(&bytes), Err(BrokenReply::TooManyConnections));
}
