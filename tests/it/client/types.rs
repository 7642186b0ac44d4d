//! What can be relied on of the public types, and that none of them shows a password.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use redis::ConnectionLike;
use shardwright::Address;
use shardwright::CommandRule;
use shardwright::CommandTable;
use shardwright::ConnectMode;
use shardwright::DistributionKind;
use shardwright::EjectMode;
use shardwright::EjectPolicy;
use shardwright::Event;
use shardwright::HashKind;
use shardwright::HashTag;
use shardwright::KeySpec;
use shardwright::Move;
use shardwright::Movement;
use shardwright::Node;
use shardwright::NodeConfig;
use shardwright::NodeConnection;
use shardwright::NodeId;
use shardwright::NodeMetrics;
use shardwright::NodeSet;
use shardwright::NodeState;
use shardwright::NutcrackerHash;
use shardwright::PartialFailure;
use shardwright::Point;
use shardwright::Ring;
use shardwright::Router;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedClientBuilder;
use shardwright::ShardedConnection;
use shardwright::ShardedPubSub;
use shardwright::Topology;
use shardwright::Weight;

use super::pool::say;
use crate::support::golden;
use crate::support::redis_server::RedisServer;

fn shared<T: Send + Sync + Debug + ?Sized>() {}
fn sent<T: Send + Debug>() {}
fn cloned<T: Send + Sync + Debug + Clone + 'static>() {}

#[test]
fn public_types_can_be_shared_sent_and_shown() {
    cloned::<ShardedClient>();
    cloned::<ShardedClientBuilder>();
    cloned::<NodeConfig>();
    cloned::<ShardError>();
    cloned::<ShardErrorKind>();
    cloned::<CommandRule>();
    cloned::<CommandTable>();
    cloned::<KeySpec>();
    cloned::<ConnectMode>();
    cloned::<PartialFailure>();
    cloned::<DistributionKind>();
    cloned::<HashKind>();
    cloned::<NutcrackerHash>();
    cloned::<HashTag>();
    cloned::<EjectMode>();
    cloned::<EjectPolicy>();
    cloned::<NodeState>();
    cloned::<NodeSet>();
    cloned::<Point>();
    cloned::<Address>();
    cloned::<Node>();
    cloned::<NodeId>();
    cloned::<Weight>();
    cloned::<Event>();
    cloned::<Move>();
    cloned::<Movement>();
    cloned::<NodeMetrics>();
    cloned::<Router>();
    cloned::<Topology>();
    shared::<dyn Ring>();
    // As redis-rs's, a connection is for one user at a time, on whatever thread.
    shared::<ShardedConnection>();
    sent::<ShardedPubSub<'_>>();
    shared::<NodeConnection<'_>>();
}

#[test]
fn a_connection_is_an_object_and_may_stand_behind_a_pointer() {
    fn is_connection<T: ConnectionLike>() {}
    is_connection::<ShardedConnection>();
    is_connection::<ShardedClient>();
    is_connection::<NodeConnection<'_>>();
    // What redis-rs implements for whatever points to a connection, as pools' guards do.
    is_connection::<Box<ShardedConnection>>();
    is_connection::<&mut ShardedConnection>();
    let Some(server) = RedisServer::start() else { return };
    let con = ShardedClient::open(server.url()).unwrap().get_connection().unwrap();
    let mut object: Box<dyn ConnectionLike> = Box::new(con);
    assert!(redis::cmd("SET").arg("key").arg(1).exec(&mut *object).is_ok());
    assert_eq!(redis::cmd("GET").arg("key").query(&mut *object), Ok(1));
}

#[test]
fn no_method_of_ours_hides_a_command() {
    // An inherent method wins over one of redis-rs's traits.
    let commands = golden("commands/redis-rs-1.8.1.txt").unwrap().to_lowercase();
    let commands: BTreeSet<_> =
        commands.lines().map(|line| line.replace([' ', '.'], "_")).collect();
    assert!(commands.contains("get") && commands.contains("client_id"), "{commands:?}");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client");
    let mut methods = BTreeSet::new();
    for file in ["connection.rs", "flight.rs", "node_connection.rs", "mod.rs", "tls.rs"] {
        let text = fs::read_to_string(directory.join(file)).unwrap();
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("pub fn "));
        methods.extend(names.map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()));
    }
    assert!(methods.contains("on_node") && methods.contains("recv_response"), "{methods:?}");
    assert_eq!(methods.intersection(&commands).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// What no text may have in it: the password, or its bytes as numbers.
fn shows(text: &str, password: &str) -> bool {
    let bytes = format!("{:?}", password.as_bytes());
    let numbers = bytes.trim_matches(['[', ']']);
    let spread = format!("{:#?}", password.as_bytes());
    let squeezed: String = text.split_whitespace().collect();
    let spread: String = spread.split_whitespace().collect();
    let spread = spread.trim_matches(['[', ']']).trim_end_matches(',');
    text.contains(password) || text.contains(numbers) || squeezed.contains(spread)
}

#[test]
fn no_password_is_shown() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "s3cret"]) else { return };
    let url = server.url().replace("//", "//:s3cret@");
    let node = NodeConfig::new(url.as_str()).unwrap().name("n0");
    let builder = ShardedClient::builder().node(node.clone());
    let client = builder.clone().build().unwrap();
    let mut con = client.get_connection().unwrap();
    // Said on the connection too, which has to remember it.
    assert_eq!(say(&mut con, "AUTH default s3cret"), "OK");
    assert_eq!(say(&mut con, "SELECT 1"), "OK");
    let mut shown = vec![
        format!("{node:?} {node:#?}"),
        format!("{builder:?} {builder:#?}"),
        format!("{client:?} {client:#?}"),
        format!("{con:?} {con:#?}"),
        format!("{:?} {:?}", client.nodes(), client.metrics()),
        format!("{:?} {:?}", client.router(), client.node_states()),
        format!("{:?}", client.get_connection_info()),
    ];
    con.on_node("n0", |node| {
        shown.push(format!("{node:?} {node:#?}"));
        Ok(())
    })
    .unwrap();
    let mut pubsub = con.as_pubsub();
    shown.push(format!("{pubsub:?} {pubsub:#?}"));
    pubsub.subscribe("channel").unwrap();
    shown.push(format!("{pubsub:?} {pubsub:#?}"));
    drop(pubsub);
    drop(server);
    super::pool::rest();
    let error = super::pool::ask(&mut con, "GET key").unwrap_err();
    shown.push(format!("{error} {error:?} {:?}", ShardError::of(&error)));
    for text in shown {
        assert!(!shows(&text, "s3cret"), "{text}");
    }
    assert!(shows("a s3cret", "s3cret") && shows(&format!("{:#?}", b"as3cret"), "s3cret"));
}
