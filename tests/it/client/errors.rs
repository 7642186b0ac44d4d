//! Our errors inside redis-rs's: each kind comes back out, whatever was done with it.

use std::error::Error;
use std::time::Duration;

use redis::Commands;
use redis::ErrorKind;
use redis::RedisError;
use redis::ServerErrorKind;
use redis::Value;
use shardwright::EjectPolicy;
use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool::Pool;
use super::pool::ask;
use super::pool::rest;
use super::pool::say;
use super::pool::shard_error;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::reply;

/// An error of each kind, from where it comes from.
fn errors() -> Option<Vec<(ShardErrorKind, RedisError)>> {
    let mut errors = Vec::new();
    let policy = EjectPolicy::fail_fast().failure_limit(1).retry_timeout(Duration::from_secs(600));
    let change = |builder: shardwright::ShardedClientBuilder| builder.eject(policy);
    let mut pool = Pool::start_with(2, change)?;
    let mut con = pool.connection();
    let keys = pool.keys();
    let mut add = |kind, error| errors.push((kind, error));
    add(ShardErrorKind::Configuration, ShardedClient::builder().build().map(drop).unwrap_err());
    let crossing = format!("SINTER {} {}", keys[0], keys[1]);
    add(ShardErrorKind::CrossShard, ask(&mut con, &crossing).unwrap_err());
    add(ShardErrorKind::Unroutable, ask(&mut con, "MONITOR").unwrap_err());
    say(&mut con, &format!("WATCH {}", keys[0]));
    pool.disconnect_all(0);
    say(&mut con, "MULTI");
    add(ShardErrorKind::TransactionLost, ask(&mut con, "EXEC").unwrap_err());
    let wrong = NodeConfig::new(pool.servers[0].url().replace("//", "//nobody:x@")).unwrap();
    let wrong = ShardedClient::builder().node(wrong).build().unwrap().get_connection();
    add(ShardErrorKind::Handshake, wrong.map(drop).unwrap_err());
    pool.servers[0].process().stop();
    con.set_read_timeout(Some(Duration::from_millis(40))).unwrap();
    add(ShardErrorKind::Deadline, con.get::<_, Value>(&keys[0]).unwrap_err());
    pool.servers[0].process().resume();
    add(ShardErrorKind::Ejected, con.get::<_, Value>(&keys[0]).unwrap_err());
    con.set_read_timeout(None).unwrap();
    pool.servers[1].kill();
    rest();
    add(ShardErrorKind::Node, con.get::<_, Value>(&keys[1]).unwrap_err());
    add(ShardErrorKind::NoLiveNode, ask(&mut con, "DBSIZE").unwrap_err());
    let node = FakeNode::start(|_| reply("nonsense\r\n"));
    let mut con = ShardedClient::open(node.url()).unwrap().get_connection().unwrap();
    add(ShardErrorKind::Protocol, con.get::<_, Value>("key").unwrap_err());
    Some(errors)
}

#[test]
fn each_kind_comes_back_out_of_clones_boxes_and_question_marks() {
    let Some(errors) = errors() else { return };
    assert_eq!(errors.len(), 10);
    for (kind, error) in errors {
        let ours = shard_error(&error);
        assert_eq!(ours.kind(), kind, "{error}");
        assert!(!ours.message().is_empty());
        let same = |other: &RedisError| {
            let other = shard_error(other);
            assert_eq!((other.kind(), other.node()), (ours.kind(), ours.node()), "{error}");
            assert_eq!((other.to_string(), other.keys()), (ours.to_string(), ours.keys()));
        };
        same(&error.clone());
        same(&error.clone().clone());
        let through: Result<(), Box<dyn Error + Send + Sync>> = (|| Err(error.clone())?)();
        same(through.unwrap_err().downcast_ref::<RedisError>().unwrap());
        same(&RedisError::from(ours.clone()));
        same(&RedisError::from(ours.clone()).clone());
        // The message is there for whoever only prints it.
        assert!(error.to_string().contains(ours.message()), "{error} without {ours}");
        assert!(std::thread::spawn(move || error).join().is_ok());
    }
}

#[test]
fn applications_of_redis_rs_see_what_they_would_of_one_connection() {
    let Some(errors) = errors() else { return };
    for (kind, error) in errors {
        let is = (error.is_io_error(), error.is_timeout(), error.is_connection_dropped());
        let (expected, redis_kind) = match kind {
            ShardErrorKind::Configuration => {
                ((false, false, false), ErrorKind::InvalidClientConfig)
            }
            ShardErrorKind::CrossShard => {
                ((false, false, false), ErrorKind::Server(ServerErrorKind::CrossSlot))
            }
            ShardErrorKind::Unroutable => ((false, false, false), ErrorKind::Client),
            ShardErrorKind::Handshake => ((false, false, false), ErrorKind::AuthenticationFailed),
            ShardErrorKind::Deadline => ((true, true, false), ErrorKind::Io),
            ShardErrorKind::Ejected | ShardErrorKind::NoLiveNode => {
                ((true, false, true), ErrorKind::Io)
            }
            ShardErrorKind::TransactionLost => ((true, false, true), ErrorKind::Io),
            // What became of its connection; it may be one of several things.
            ShardErrorKind::Node => ((true, false, is.2), ErrorKind::Io),
            ShardErrorKind::Protocol => ((true, false, false), ErrorKind::Io),
            other => panic!("a new kind: {other:?}"),
        };
        assert_eq!((is, error.kind()), (expected, redis_kind), "{kind:?}: {error}");
        // None of them asks for a request to be tried again: a write may have been done.
        assert!(!error.is_cluster_error() || kind == ShardErrorKind::CrossShard, "{error}");
    }
}

#[test]
fn errors_of_servers_and_of_redis_rs_are_not_ours() {
    let Some(pool) = Pool::start(2) else { return };
    let mut con = pool.connection();
    let key = pool.key_on(0, 0);
    let () = con.set(&key, "text").unwrap();
    for error in [
        con.incr::<_, _, Value>(&key, 1).unwrap_err(),
        con.get::<_, i64>(&key).unwrap_err(),
        con.llen::<_, Value>(&key).unwrap_err(),
        ask(&mut con, "NOSUCHCOMMAND key").unwrap_err(),
        redis::Client::open("no url").map(drop).unwrap_err(),
    ] {
        assert!(ShardError::of(&error).is_none(), "{error}");
    }
}
