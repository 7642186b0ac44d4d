//! Any bytes: of a client, and of a node.

use super::PoolPlan;
use super::Stage;
use super::request;
use crate::protocol::resp::Scanner;
use crate::proxy::core::Link;
use crate::proxy::settings::Protocol;

/// Whatever a client sends, nothing panics, and what it is answered is well-formed and does not depend on how it was
/// cut into pieces, `sizes` being the lengths of these.
pub(crate) fn client_bytes(is_redis: bool, bytes: &[u8], sizes: &[u8]) {
    let whole = converse(is_redis, bytes, &[]);
    if is_redis {
        well_formed(&whole);
    } else {
        assert!(whole.is_empty() || whole.ends_with(b"\r\n"), "{}", whole.escape_ascii());
    }
    let cut = converse(is_redis, bytes, sizes);
    // Messages come when they come.
    let is_subscriber = bytes.to_ascii_lowercase().windows(9).any(|word| word == b"subscribe");
    if !is_subscriber {
        assert_eq!(whole.escape_ascii().to_string(), cut.escape_ascii().to_string());
    }
}

fn plan(is_redis: bool) -> PoolPlan {
    let protocol = if is_redis { Protocol::Redis } else { Protocol::Memcache };
    let mut plan = PoolPlan::new(protocol, &["a", "b", "c"]);
    plan.connections = 2;
    plan
}

fn converse(is_redis: bool, bytes: &[u8], sizes: &[u8]) -> Vec<u8> {
    let mut stage = Stage::new(&[plan(is_redis)]);
    let client = stage.connect(0).expect("there is room");
    let (mut answers, mut rest) = (Vec::new(), bytes);
    for &size in sizes.iter().chain(&[0]) {
        let size = if size == 0 { rest.len() } else { rest.len().min(usize::from(size)) };
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        stage.send(client, piece);
        stage.settle();
        answers.extend(stage.received(client));
    }
    stage.hang_up(Link::Session(client));
    stage.turn();
    stage.settle();
    answers.extend(stage.received(client));
    assert!(!stage.is_open(client), "what is owed is answered, and then it is closed");
    answers
}

/// Bytes are replies of Redis's, whole ones.
fn well_formed(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match Scanner::default().scan(bytes) {
            Ok(Some(length)) => bytes = &bytes[length..],
            other => panic!("{other:?}: {}", bytes.escape_ascii()),
        }
    }
}

/// Whatever a node sends, nothing panics, and clients get well-formed replies, or are closed.
pub(crate) fn node_bytes(kind: u8, bytes: &[u8], sizes: &[u8]) {
    let is_redis = kind & 1 == 0;
    let mut stage = Stage::new(&[plan(is_redis)]);
    let clients = [0; 2].map(|_| stage.connect(0).expect("there is room"));
    for client in clients {
        if is_redis {
            if kind & 2 != 0 {
                stage.send(client, &request(&["HELLO", "3"]));
            }
            for words in [
                &["GET", "e1"][..],
                &["MGET", "e1", "e2", "e3", "e4", "e5"],
                &["EXISTS", "e1", "e2", "e3", "e4"],
                &["MSET", "e1", "1", "e2", "2", "e3", "3"],
                &["DBSIZE"],
                &["SCAN", "0"],
                &["KEYS", "*"],
                &["SCRIPT", "EXISTS", "x"],
                &["RANDOMKEY"],
                &["GET", "e2"],
            ] {
                stage.send(client, &request(words));
            }
            let last: &[&[&str]] = match kind >> 2 & 3 {
                0 => &[&["MULTI"], &["GET", "e1"], &["EXEC"], &["GET", "e2"]],
                1 => &[&["BLPOP", "e1", "1"], &["GET", "e2"]],
                2 => &[&["SUBSCRIBE", "e1", "e2"], &["PING"]],
                _ => &[&["WATCH", "e1"], &["GET", "e2"], &["UNWATCH"]],
            };
            last.iter().for_each(|words| stage.send(client, &request(words)));
        } else {
            stage.send(
                client,
                b"get e1\r\ngets e1 e2 e3 e4 e5\r\nset e1 0 0 1\r\nx\r\nmg e1 v\r\nmg e2 v q\r\nmn\r\n\
                  stats\r\nversion\r\nincr e1 1\r\ndelete e2 noreply\r\nget e2\r\nflush_all\r\nget e3\r\n",
            );
        }
    }
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = bytes;
    let mut turn = 0;
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| usize::from(size).max(1)).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        let backends: Vec<usize> =
            stage.wires.all.keys().filter(|(is_backend, _)| *is_backend).map(|at| at.1).collect();
        if let Some(&backend) = backends.get(turn % backends.len().max(1)) {
            stage.finish_connecting(backend, true);
            stage.arrive(Link::Backend(backend), piece);
            stage.turn();
        }
        turn += usize::from(size % 3 == 0);
    }
    for _ in 0..20 {
        // What they answer now may be what nobody asked them for; but they answer all they are asked.
        stage.settle();
        stage.wait(std::time::Duration::from_millis(500));
    }
    for client in clients {
        let answers = stage.received(client);
        if stage.is_open(client) {
            if is_redis {
                well_formed(&answers);
            }
            let session = &stage.core.sessions[client];
            assert!(session.queue.is_empty() || session.mode.is_some(), "{session:?}");
        }
    }
}
