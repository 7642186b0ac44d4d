//! Unix sockets, and nodes that ask for passwords.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use redis::Commands;
use redis::ErrorKind;
use redis::RedisResult;
use shardwright::NodeConfig;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;

use super::pool::ask;
use super::pool::say;
use super::pool::shard_error;
use crate::support::eventually;
use crate::support::redis_server::RedisServer;

const SECRET: &str = "s3cr3t";

/// Two nodes, each with credentials of its own: a user of an access list, and a password for all.
struct Guarded {
    servers: [RedisServer; 2],
}

impl Guarded {
    fn start() -> Option<Self> {
        let user = format!("app on >{SECRET}1 ~* &* +@all");
        let mut arguments = vec!["--user"];
        arguments.extend(user.split(' '));
        arguments.extend(["--requirepass", "other"]);
        let with_user = RedisServer::start_with(&arguments)?;
        let with_password = RedisServer::start_with(&["--requirepass", &format!("{SECRET}2")])?;
        Some(Self { servers: [with_user, with_password] })
    }

    /// A client that uses these credentials (`user:password`).
    fn client(&self, credentials: [&str; 2]) -> ShardedClient {
        let nodes = self.servers.iter().zip(credentials).enumerate();
        let nodes = nodes.map(|(number, (server, credentials))| {
            let url = server.url().replace("//", &format!("//{credentials}@"));
            NodeConfig::new(url).unwrap().name(format!("n{number}"))
        });
        nodes.fold(ShardedClient::builder(), |builder, node| builder.node(node)).build().unwrap()
    }
}

const RIGHT: [&str; 2] = ["app:s3cr3t1", ":s3cr3t2"];

/// A key of each of two nodes.
fn keys(client: &ShardedClient) -> [String; 2] {
    ["n0", "n1"].map(|name| {
        let mut keys = (0..).map(|number| format!("{number}:key"));
        keys.find(|key| client.node_for_key(key).unwrap().name() == name).unwrap()
    })
}

/// The path of the server's unix socket, which it opens after its port.
fn socket(server: &RedisServer) -> PathBuf {
    let path = server.socket();
    eventually("the socket is open", || UnixStream::connect(&path).is_ok());
    path
}

#[test]
fn nodes_on_unix_sockets() {
    let Some(servers) = RedisServer::start_many(3) else { return };
    let urls = |scheme: &str, options: &str| {
        let urls = servers
            .iter()
            .map(|server| format!("{scheme}://{}{options}", socket(server).to_str().unwrap()));
        urls.collect::<Vec<_>>()
    };
    for (scheme, options) in [("unix", ""), ("redis+unix", "?db=0"), ("unix", "?protocol=resp3")] {
        let client = ShardedClient::open(urls(scheme, options).join(",")).unwrap();
        let mut con = client.get_connection().unwrap();
        let pairs: Vec<_> = (0..90).map(|number| (format!("{number}:key"), number)).collect();
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
        let () = con.mset(&pairs).unwrap();
        assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), (0..90).collect::<Vec<_>>());
        assert_eq!(say(&mut con, "DBSIZE"), "90");
        // A value that does not fit into the socket's buffer.
        let value = "x".repeat(3 << 20);
        let () = con.set("0:key", &value).unwrap();
        assert!(con.get::<_, String>("0:key").unwrap() == value);
        let mut pubsub = con.as_pubsub();
        pubsub.subscribe("channel").unwrap();
        let () = client.get_connection().unwrap().publish("channel", "x").unwrap();
        assert_eq!(pubsub.get_message().unwrap().get_payload::<String>().unwrap(), "x");
    }
    for server in &servers {
        let mut direct = super::pool::direct(server);
        assert!(say(&mut direct, "DBSIZE").parse::<i64>().unwrap() > 9, "each has its share");
    }
    let shard = urls("unix", "?db=3").iter().fold(ShardedClient::builder(), |builder, url| {
        builder.node(NodeConfig::new(url.as_str()).unwrap())
    });
    let mut con = shard.build().unwrap().get_connection().unwrap();
    assert_eq!(say(&mut con, "DBSIZE"), "0", "another database");
}

#[test]
fn a_unix_socket_that_is_gone_is_named() {
    let Some(mut server) = RedisServer::start() else { return };
    let path = socket(&server);
    let client = ShardedClient::open(format!("unix://{}", path.display())).unwrap();
    let mut con = client.get_connection().unwrap();
    server.kill();
    super::pool::rest();
    let error = ask(&mut con, "GET key").unwrap_err();
    assert!(error.is_io_error() && error.is_connection_refusal(), "{error}");
    let error = shard_error(&error);
    assert_eq!(error.kind(), ShardErrorKind::Node);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn each_node_has_its_own_credentials() {
    let Some(guarded) = Guarded::start() else { return };
    let client = guarded.client(RIGHT);
    let mut con = client.get_connection().unwrap();
    let keys = keys(&client);
    let () = con.mset(&keys.each_ref().map(|key| (key, 1))).unwrap();
    assert_eq!(con.mget::<_, Vec<i64>>(&keys).unwrap(), [1, 1]);
    let who = con.on_all(|node| redis::cmd("ACL").arg("WHOAMI").query::<String>(node));
    let who: Vec<_> = who.into_iter().map(|(_, who)| who.unwrap()).collect();
    assert_eq!(who, ["app", "default"]);
    let mut pubsub = con.as_pubsub();
    pubsub.psubscribe("*").unwrap();
    drop(pubsub);
    let mut alone = client.node_client("n0").unwrap().get_connection().unwrap();
    assert_eq!(alone.get::<_, i64>(&keys[0]).unwrap(), 1);
}

#[test]
fn wrong_credentials_are_an_error_that_names_the_node_and_no_secret() {
    let Some(guarded) = Guarded::start() else { return };
    for wrong in ["app:wr0ng", "nobody:wr0ng", ":wr0ng"] {
        for (place, node) in [(0, "n0"), (1, "n1")] {
            let mut credentials = RIGHT;
            credentials[place] = wrong;
            let client = guarded.client(credentials);
            let mut con = client.get_connection().unwrap();
            let keys = keys(&client);
            let error = con.get::<_, Option<i64>>(&keys[place]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
            let ours = shard_error(&error);
            assert_eq!((ours.kind(), ours.node()), (ShardErrorKind::Handshake, Some(node)));
            let text = format!("{error} {error:?} {ours} {ours:?} {client:?} {con:?}");
            assert!(!text.contains("wr0ng") && !text.contains(SECRET), "{text}");
            assert!(text.contains(&guarded.servers[place].address()), "{text}");
            // The other node is none the worse for it.
            assert_eq!(con.get::<_, Option<i64>>(&keys[1 - place]).unwrap(), None);
            let mut pubsub = con.as_pubsub();
            let error = pubsub.psubscribe("*").unwrap_err();
            assert_eq!(shard_error(&error).kind(), ShardErrorKind::Handshake);
            let text = format!("{pubsub:?} {error:?}");
            assert!(!text.contains("wr0ng") && !text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn no_password_is_an_error_of_the_server() {
    let Some(guarded) = Guarded::start() else { return };
    let [one, other] = &guarded.servers;
    let client = ShardedClient::open([one.url(), other.url()].join(",")).unwrap();
    let mut con = client.get_connection().unwrap();
    assert_eq!(say(&mut con, "GET key"), "NOAUTH Authentication required.");
}

#[test]
fn a_command_that_a_user_may_not_use_is_a_reply() {
    let Some(guarded) = Guarded::start() else { return };
    let client = guarded.client(RIGHT);
    let mut con = client.get_connection().unwrap();
    let keys = keys(&client);
    let deny: RedisResult<String> =
        con.on_node("n0", |node| redis::cmd("ACL").arg(&["SETUSER", "app", "-get"]).query(node));
    assert_eq!(deny, Ok("OK".into()));
    let said = say(&mut con, &format!("GET {}", keys[0]));
    assert!(said.starts_with("NOPERM "), "{said}");
    assert_eq!(say(&mut con, &format!("GET {}", keys[1])), "nil");
}

#[test]
fn a_password_that_the_server_quotes_is_in_no_error() {
    for (command, options) in [("HELLO", "?protocol=resp3"), ("AUTH", "")] {
        let arguments = ["--rename-command", command, "unheard"];
        let Some(server) = RedisServer::start_with(&arguments) else { return };
        let url = server.url().replace("//", &format!("//:{SECRET}@"));
        let client = ShardedClient::open(format!("{url}{options}").as_str()).unwrap();
        let error = client.get_connection().map(drop).unwrap_err();
        let text = format!("{error} {error:?} {:?}", shard_error(&error));
        assert!(text.contains("unknown command") && !text.contains(SECRET), "{text}");
    }
}
