//! Nodes that cannot be connected to.

use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionAddr;
use redis::ErrorKind;
use redis::IntoConnectionInfo;
use shardwright::ConnectMode;
use shardwright::NodeConfig;
use shardwright::ShardError;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::DEADLINE;
use super::DeadPort;
use super::builder;
use super::failure;
use super::failure_kind;
use super::key_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::scratch;
use crate::support::stopwatch::in_time;
use crate::support::stopwatch::pause;

/// A port on which an attempt to connect is never answered: its queue is full and nobody takes from it.
pub struct Blackhole {
    port: u16,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl Blackhole {
    pub fn open() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(100);
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok());
        Self { port: address.port(), _queued: queued.collect(), _listener: listener }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

#[test]
fn a_port_without_a_listener_is_refused_at_once() {
    let port = DeadPort::reserve();
    let client = builder([port.url()]).build().unwrap();
    let error = in_time(DEADLINE / 3, || failure(client.clone().get::<_, ()>("key")));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n0")));
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    let error = client.get_connection().map(drop).unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
}

#[test]
fn an_address_that_does_not_answer_costs_the_deadline() {
    let blackhole = Blackhole::open();
    let node = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    let client =
        builder([blackhole.url(), node.url()]).connect_mode(ConnectMode::Lazy).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let (dead, live) = (key_of(&client, "n0"), key_of(&client, "n1"));
    let error = in_time(DEADLINE, || failure(connection.get::<_, ()>(&dead)));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
    assert!(error.to_string().contains("no connection to 127.0.0.1"), "{error}");
    let error = in_time(DEADLINE, || failure(connection.mget::<_, ()>(&[&dead, &live])));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
    assert_eq!(node.lines().len(), 1, "the other node was asked meanwhile");
}

#[test]
fn any_node_will_do_for_a_connection_and_the_deadline_bounds_them_all() {
    let limit = 3 * DEADLINE;
    let blackholes = [(); 2].map(|()| Blackhole::open());
    let dead = || blackholes.iter().map(Blackhole::url);
    let node = FakeNode::start(|_| reply("+OK\r\n"));
    for live in [0, 1] {
        let urls = dead().chain((live == 1).then(|| node.url()));
        let client = builder(urls).timeout(limit).build().unwrap();
        for _ in 0..4 {
            let result = in_time(limit, || client.get_connection().map(drop));
            match live {
                0 => assert_eq!(failure_kind(result), ShardErrorKind::Deadline),
                _ => result.unwrap(),
            }
        }
    }
    // A time for connecting bounds it as well.
    let client = ShardedClient::builder().nodes(dead().collect::<Vec<_>>()).unwrap();
    let client = client.build().unwrap();
    let open = || client.get_connection_with_timeout(DEADLINE).map(drop);
    assert_eq!(failure_kind(in_time(DEADLINE, open)), ShardErrorKind::Deadline);
}

#[test]
fn without_a_timeout_a_node_that_does_not_answer_is_given_up_for_another() {
    let blackhole = Blackhole::open();
    let node = FakeNode::start(|_| reply("+OK\r\n"));
    let client = ShardedClient::open(vec![blackhole.url(), node.url()]).unwrap();
    // They take turns to be tried first, beginning with any.
    while client.metrics()[0].failures + client.metrics()[1].failures == 0 {
        in_time(Duration::from_secs(2), || client.get_connection().map(drop)).unwrap();
    }
}

#[test]
fn a_name_that_does_not_resolve_is_an_error() {
    // RFC 6761: no server knows a name under `invalid`. How soon it says so is another matter.
    let client = ShardedClient::builder()
        .nodes("redis://no-such-node.invalid:6379")
        .unwrap()
        .timeout(DEADLINE)
        .build()
        .unwrap();
    let error = in_time(DEADLINE, || failure(client.clone().get::<_, ()>("key")));
    assert!(matches!(error.kind(), ShardErrorKind::Node | ShardErrorKind::Deadline));
    assert!(error.to_string().contains("no-such-node.invalid"), "{error}");
}

#[test]
fn a_name_of_several_addresses_is_tried_address_after_address() {
    let node = FakeNode::start(|_| reply(bulk("x")));
    let url = node.url().replace("127.0.0.1", "localhost");
    let mut client = builder([url]).build().unwrap();
    assert_eq!(client.get::<_, String>("key").unwrap(), "x");
}

#[test]
fn a_refused_password_or_database_says_so_and_nothing_is_sent() {
    for (what, says) in [("AUTH", "authentication failed"), ("SELECT", "database refused")] {
        let node = FakeNode::start_rude(move |request| match request.line().starts_with(what) {
            true => reply("-WRONGPASS not you\r\n"),
            false => reply("+OK\r\n"),
        });
        let url = node.url().replace("redis://", "redis://:secret@") + "3";
        let client = builder([url]).build().unwrap();
        let result = client.clone().get::<_, ()>("key");
        let kind = result.as_ref().unwrap_err().kind();
        assert_eq!(kind == ErrorKind::AuthenticationFailed, what == "AUTH");
        let error = failure(result);
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Handshake, Some("n0")));
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(node.lines(), [""; 0]);
        assert_eq!(client.metrics()[0].failures, 1);
    }
}

#[test]
fn a_handshake_answered_with_nonsense_is_refused_and_nothing_is_sent() {
    let node = FakeNode::start_rude(|_| reply(":7\r\n"));
    let url = node.url().replace("redis://", "redis://:secret@");
    let client = builder([url]).build().unwrap();
    assert_eq!(failure_kind(client.clone().get::<_, ()>("key")), ShardErrorKind::Handshake);
    assert_eq!(node.lines(), [""; 0]);
}

#[test]
fn a_node_that_hangs_up_in_the_handshake_is_an_error() {
    for after in [0, 1] {
        let node = FakeNode::start_rude(move |request| {
            let is_first = request.line().contains("LIB-NAME");
            let steps = vec![Step::Send(b"+OK\r\n".to_vec())];
            if is_first && after > 0 { steps } else { vec![Step::Close] }
        });
        let client = builder([node.url()]).build().unwrap();
        let error = in_time(DEADLINE / 3, || failure(client.clone().get::<_, ()>("key")));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Node, Some("n0")));
        assert!(error.to_string().contains("cannot connect to"), "{error}");
    }
}

#[test]
fn a_full_queue_of_a_unix_socket_is_waited_for() {
    let directory = scratch();
    let path = directory.join("full.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let listener = UnixListener::from(listener);
    let queued = UnixStream::connect(&path).unwrap();
    let info = ConnectionAddr::Unix(path).into_connection_info().unwrap();
    let builder = ShardedClient::builder().node(NodeConfig::new(info).unwrap());
    let client = builder.timeout(DEADLINE).build().unwrap();
    let result = in_time(DEADLINE, || client.clone().get::<_, ()>("key"));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);

    let asking = std::thread::spawn(move || client.clone().get::<_, ()>("key"));
    pause(DEADLINE / 5);
    // There is room for one now, and it is hung up on.
    drop((listener.accept().unwrap(), queued));
    drop(listener.accept().unwrap());
    let error = asking.join().unwrap().unwrap_err();
    let error = ShardError::of(&error).unwrap();
    assert_eq!(error.kind(), ShardErrorKind::Node, "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}
