//! One deadline bounds the whole request, whatever the node does with the time.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use redis::Commands;
use redis::ConnectionAddr;
use redis::IntoConnectionInfo;
use redis::RedisConnectionInfo;
use redis::RedisResult;
use redis::Value;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use shardwright::ConnectMode;
use shardwright::EjectPolicy;
use shardwright::NodeConfig;
use shardwright::NodeState;
use shardwright::ShardErrorKind;
use shardwright::ShardedClient;
use shardwright::ShardedConnection;

use super::DEADLINE;
use super::builder;
use super::failure;
use super::failure_kind;
use super::key_of;
use super::keys_of;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::fake_node::bulk;
use crate::support::fake_node::reply;
use crate::support::own_process;
use crate::support::scratch;
use crate::support::stopwatch::in_time;
use crate::support::stopwatch::pause;

type Request = Box<dyn Fn(&mut ShardedConnection) -> RedisResult<Value>>;

/// A request of each kind that takes another way through the client: one node, several nodes, pipeline,
/// transaction.
fn requests(client: &ShardedClient) -> Vec<Request> {
    let key = key_of(client, "n0");
    let (one, other) = (key.clone(), key_of(client, "n1"));
    let (first, second) = (key.clone(), key.clone());
    vec![
        Box::new(move |connection| connection.get(&key)),
        Box::new(move |connection| connection.mget(&[&one, &other])),
        Box::new(move |connection| redis::pipe().get(&first).get(&first).query(connection)),
        Box::new(move |connection| redis::pipe().atomic().get(&second).query(connection)),
    ]
}

/// Makes each kind of request to a node that does `steps` with it, and another one that answers.
fn each_ends_at_its_deadline(steps: Vec<Step>) {
    let node = FakeNode::start(move |_| steps.clone());
    let other = FakeNode::start(|_| reply("*1\r\n$1\r\nx\r\n"));
    let client = builder([node.url(), other.url()]).build().unwrap();
    for request in requests(&client) {
        let mut connection = client.get_connection().unwrap();
        let error = in_time(DEADLINE, || failure(request(&mut connection)));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
        assert!(error.to_string().contains("within 150ms"), "{error}");
    }
}

#[test]
fn a_node_that_says_nothing_costs_the_deadline() {
    each_ends_at_its_deadline(vec![Step::Hang]);
}

#[test]
fn a_reply_that_trickles_ends_at_the_deadline() {
    let long = bulk("x".repeat(500));
    each_ends_at_its_deadline(vec![Step::Trickle(long, Duration::from_millis(5))]);
}

#[test]
fn a_line_that_never_ends_ends_at_the_deadline() {
    each_ends_at_its_deadline(vec![Step::Trickle(vec![b'+'; 500], Duration::from_millis(5))]);
}

#[test]
fn messages_that_trickle_do_not_put_the_deadline_off() {
    let messages = ">2\r\n+message\r\n+x\r\n".repeat(100).into_bytes();
    each_ends_at_its_deadline(vec![Step::Trickle(messages, Duration::from_millis(2))]);
}

#[test]
fn a_flood_of_bytes_ends_at_the_deadline() {
    let start = vec![Step::Send(b"*999999999999\r\n".to_vec())];
    each_ends_at_its_deadline([start, flood("")].concat());
}

#[test]
fn a_flood_of_messages_ends_at_the_deadline() {
    each_ends_at_its_deadline(flood(">2\r\n+message\r\n"));
}

/// Strings of some size behind `start` each: to look at one takes a debug build its time, and many fit
/// into what is read between two looks at the clock.
fn flood(start: &str) -> Vec<Step> {
    let string = bulk("x".repeat(1000));
    vec![Step::Flood([start.as_bytes(), &string].concat().repeat(1000))]
}

#[test]
fn time_spent_on_writing_is_gone() {
    // The node reads nothing for most of the time, then everything, then says nothing.
    let node = FakeNode::start(|request| match request.number {
        0 => vec![Step::Send(b"+OK\r\n".to_vec()), Step::Wait(DEADLINE * 3 / 5)],
        _ => vec![Step::Hang],
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let () = connection.set("small", "x").unwrap();
    let value = "x".repeat(8 << 20);
    let result = in_time(DEADLINE, || connection.set::<_, _, ()>("large", &value));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
}

#[test]
fn a_unix_socket_that_is_read_slowly_ends_at_the_deadline() {
    let directory = scratch();
    let path = directory.join("slow.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 16 << 10];
        while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
            pause(DEADLINE / 5);
        }
    });
    let info = ConnectionAddr::Unix(path).into_connection_info().unwrap();
    let info = info.set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name());
    let node = NodeConfig::new(info).unwrap();
    let client = ShardedClient::builder().node(node).timeout(DEADLINE).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let value = "x".repeat(4 << 20);
    let result = in_time(DEADLINE, || connection.set::<_, _, ()>("large", &value));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_handshake_that_trickles_ends_at_the_deadline() {
    let slow = vec![Step::Trickle(vec![b'+'; 500], Duration::from_millis(5))];
    for steps in [vec![Step::Hang], slow, flood(">2\r\n+message\r\n")] {
        let node = FakeNode::start_rude(move |_| steps.clone());
        let client = builder([node.url()]).build().unwrap();
        let result = in_time(DEADLINE, || client.get_connection().map(drop));
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
        let result = in_time(DEADLINE, || client.clone().get::<_, ()>("key"));
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    }
}

#[test]
fn the_time_for_connecting_is_bounded_by_itself() {
    let node = FakeNode::start_rude(|_| vec![Step::Hang]);
    let connect_timeout = Duration::from_millis(50);
    for timeout in [None, Some(DEADLINE * 20)] {
        let mut builder = ShardedClient::builder().nodes(node.url()).unwrap();
        if let Some(timeout) = timeout {
            builder = builder.timeout(timeout);
        }
        let client = builder.connect_timeout(connect_timeout).build().unwrap();
        let result = in_time(connect_timeout, || client.clone().get::<_, ()>("key"));
        let error = failure(result);
        assert_eq!(error.kind(), ShardErrorKind::Deadline);
        assert!(error.to_string().contains("no connection to"), "{error}");
    }
}

#[test]
fn the_deadline_counts_from_the_connection_on() {
    // Most of the time goes into the handshake, and none is left for the reply.
    let node = FakeNode::start_rude(|request| match request.is_greeting() {
        true => vec![Step::Wait(DEADLINE * 2 / 5), Step::Send(b"+OK\r\n".to_vec())],
        false => vec![Step::Hang],
    });
    let client = builder([node.url()]).build().unwrap();
    let result = in_time(DEADLINE, || client.clone().get::<_, ()>("key"));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    assert_eq!(node.lines(), ["GET key"]);
}

#[test]
fn a_reply_that_is_fetched_later_has_the_deadline_of_then() {
    let node = FakeNode::start(|_| vec![Step::Hang]);
    let client = ShardedClient::open(node.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.send_packed_command(&redis::cmd("GET").arg("key").get_packed_command()).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let result = in_time(DEADLINE, || connection.recv_response());
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
}

#[test]
fn values_of_other_nodes_arrive_while_one_hangs() {
    let node = FakeNode::start(|_| vec![Step::Hang]);
    // Each has a value that takes many reads, one of them in pieces.
    let value = bulk("v".repeat(10 << 20));
    let (start, end) = value.split_at(5 << 20);
    let whole = [b"*1\r\n", value.as_slice()].concat();
    let start = [b"*1\r\n", start].concat();
    let pieces = vec![Step::Send(start), Step::Wait(DEADLINE / 5), Step::Send(end.to_vec())];
    let others =
        [FakeNode::start(move |_| reply(&whole)), FakeNode::start(move |_| pieces.clone())];
    let urls = [node.url(), others[0].url(), others[1].url()];
    let client = builder(urls)
        .timeout(DEADLINE * 4)
        .partial_failure(shardwright::PartialFailure::NilForReads)
        .build()
        .unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys = ["n1", "n0", "n2"].map(|node| key_of(&client, node));
    let values: Vec<Option<String>> = in_time(DEADLINE * 4, || connection.mget(&keys).unwrap());
    let lengths: Vec<_> = values.iter().map(|value| value.as_ref().map(String::len)).collect();
    assert_eq!(lengths, [Some(10 << 20), None, Some(10 << 20)]);
}

#[test]
fn a_write_to_one_node_that_does_not_read_does_not_hold_the_others_up() {
    let node = FakeNode::start(|_| vec![Step::Send(b"+OK\r\n".to_vec()), Step::Hang]);
    let other = FakeNode::start(|_| reply("+OK\r\n"));
    // The other one is busy for a while with what it gets.
    let limit = 4 * DEADLINE;
    let client = builder([node.url(), other.url()]).timeout(limit).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    // From now on the node reads nothing.
    let () = connection.set(key_of(&client, "n0"), "x").unwrap();
    let (large, small) = ("x".repeat(4 << 20), "x".repeat(1 << 19));
    let keys: Vec<_> =
        keys_of(&client, "n0").take(2).chain(keys_of(&client, "n1").take(2)).collect();
    let mut command = redis::cmd("MSET");
    for (key, value) in keys.iter().zip([&large, &large, &small, &small]) {
        command.arg(key).arg(value);
    }
    let error = in_time(limit, || failure(command.query::<()>(&mut connection)));
    assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
    assert_eq!(error.keys(), [keys[0].as_bytes(), keys[1].as_bytes()]);
    assert_eq!(error.completed_nodes().collect::<Vec<_>>(), ["n1"]);
}

#[test]
fn what_is_asked_step_by_step_has_one_deadline() {
    let slow = |bytes: &'static str| {
        FakeNode::start(move |_| vec![Step::Wait(DEADLINE * 2 / 5), Step::Send(bytes.into())])
    };
    // Node after node, until one has a key.
    let nodes = [(); 5].map(|()| slow("$-1\r\n"));
    let client = builder(nodes.iter().map(FakeNode::url)).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let random_key = || redis::cmd("RANDOMKEY").exec(&mut connection);
    assert_eq!(failure_kind(in_time(DEADLINE, random_key)), ShardErrorKind::Deadline);
    // Commands that are not sent together, because one tells where the next one goes.
    let node = slow("*2\r\n$1\r\n0\r\n*0\r\n");
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut pipeline = redis::pipe();
    for _ in 0..5 {
        pipeline.cmd("SCAN").arg(0);
    }
    let result = in_time(DEADLINE, || pipeline.exec(&mut connection));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    // The next request has its own time.
    redis::cmd("SCAN").arg(0).exec(&mut connection).unwrap();
}

#[test]
fn what_is_sent_and_fetched_later_has_one_deadline() {
    let hung = || FakeNode::start(|_| vec![Step::Hang]);
    let dbsize = redis::cmd("DBSIZE").get_packed_command();
    // Over nodes whose handshake hangs.
    let nodes = [(); 4].map(|()| FakeNode::start_rude(|_| vec![Step::Hang]));
    let client = builder(nodes.iter().map(FakeNode::url)).connect_mode(ConnectMode::Lazy);
    let mut connection = client.build().unwrap().get_connection().unwrap();
    in_time(DEADLINE, || connection.send_packed_command(&dbsize)).unwrap();
    let result = in_time(DEADLINE, || connection.recv_response());
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    // Over nodes that do not answer, and then a request that wants their links.
    let nodes = [hung(), hung(), hung(), hung(), FakeNode::start(|_| reply("$1\r\nx\r\n"))];
    let client = builder(nodes.iter().map(FakeNode::url)).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.send_packed_command(&dbsize).unwrap();
    let result = in_time(DEADLINE, || connection.recv_response());
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    for _ in 0..3 {
        connection.send_packed_command(&dbsize).unwrap();
    }
    let key = key_of(&client, "n0");
    let result = in_time(DEADLINE, || connection.get::<_, ()>(&key));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
    // Behind the first one their links are closed.
    let kinds = [(); 3].map(|()| failure_kind(connection.recv_response()));
    let lost = ShardErrorKind::Node;
    assert_eq!(kinds, [ShardErrorKind::Deadline, lost, lost]);
    // The next request has its own time.
    assert_eq!(connection.get::<_, String>(key_of(&client, "n4")).unwrap(), "x");
}

#[test]
fn what_arrived_in_time_counts_though_another_node_took_it_all() {
    let nodes = [FakeNode::start(|_| vec![Step::Hang]), FakeNode::start(|_| reply("*1\r\n:7\r\n"))];
    let client = builder(nodes.iter().map(FakeNode::url));
    let client = client.partial_failure(shardwright::PartialFailure::NilForReads).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys = [key_of(&client, "n0"), key_of(&client, "n1")];
    let mget = redis::cmd("MGET").arg(&keys).get_packed_command();
    connection.send_packed_command(&mget).unwrap();
    let values = in_time(DEADLINE, || connection.recv_response()).unwrap();
    assert_eq!(values, Value::Array(vec![Value::Nil, Value::Int(7)]));
}

#[test]
fn the_replies_of_a_transaction_have_one_deadline() {
    let slow = DEADLINE * 4 / 5;
    let node = FakeNode::start(move |request| match request.line().split(' ').next() {
        Some("WATCH") => reply("+OK\r\n"),
        _ => vec![Step::Wait(slow), Step::Send(b"+QUEUED\r\n".to_vec())],
    });
    let client = builder([node.url()]).build().unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("WATCH").arg("key").exec(&mut connection).unwrap();
    let pipeline = redis::pipe().atomic().set("key", 1).set("key", 2).to_owned();
    let result = in_time(DEADLINE, || pipeline.exec(&mut connection));
    assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
}

#[test]
fn a_node_that_was_left_no_time_is_not_to_blame() {
    let nodes = [FakeNode::start(|_| vec![Step::Hang]), FakeNode::start(|_| reply("$1\r\nx\r\n"))];
    for mode in [ConnectMode::All, ConnectMode::Lazy] {
        let policy = EjectPolicy::fail_fast().failure_limit(1);
        let builder = builder(nodes.iter().map(FakeNode::url)).connect_mode(mode).eject(policy);
        let client = builder.build().unwrap();
        let mut connection = client.get_connection().unwrap();
        // The scan begins at the first node, and the other one is asked behind it.
        let pipeline = redis::pipe().cmd("SCAN").arg(0).get(key_of(&client, "n1")).to_owned();
        let error = in_time(DEADLINE, || failure(pipeline.exec(&mut connection)));
        assert_eq!((error.kind(), error.node()), (ShardErrorKind::Deadline, Some("n0")));
        let states = client.node_states().into_iter().map(|(_, state)| state);
        assert_eq!(states.collect::<Vec<_>>(), [NodeState::Ejected, NodeState::Live]);
    }
}

#[test]
fn signals_do_not_put_the_deadline_off() {
    const NAME: &str = "failures::deadlines::signals_do_not_put_the_deadline_off";
    if own_process::is_alone(NAME) {
        let node = FakeNode::start(|_| vec![Step::Hang]);
        let client = builder([node.url()]).timeout(DEADLINE * 2).build().unwrap();
        let mut connection = client.get_connection().unwrap();
        let result = in_time(DEADLINE * 2, || connection.get::<_, ()>("key"));
        assert_eq!(failure_kind(result), ShardErrorKind::Deadline);
        return;
    }
    // A process that is stopped and goes on wakes from its waits, as from a signal with a handler.
    let mut command = own_process::command(NAME);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    while child.try_wait().unwrap().is_none() {
        pause(DEADLINE / 5);
        for signal in [Signal::STOP, Signal::CONT] {
            kill_process(pid, signal).unwrap();
        }
    }
    own_process::judge(NAME, &child.wait_with_output().unwrap());
}

#[test]
fn several_slow_nodes_cost_the_slowest_and_not_the_sum() {
    // One after the other they would take twice the deadline.
    let slow = || {
        FakeNode::start(|request| {
            let keys = request.args.len() - 1;
            let values = bulk("x").repeat(keys);
            let reply = [format!("*{keys}\r\n").as_bytes(), &values].concat();
            vec![Step::Wait(DEADLINE / 2), Step::Send(reply)]
        })
    };
    let nodes: Vec<_> = (0..4).map(|_| slow()).collect();
    let client = builder(nodes.iter().map(FakeNode::url)).build().unwrap();
    let keys: Vec<_> = (0..4).map(|node| key_of(&client, &format!("n{node}"))).collect();
    let mut connection = client.get_connection().unwrap();
    assert_eq!(connection.mget::<_, Vec<String>>(&keys).unwrap(), ["x"; 4]);
    assert!(nodes.iter().all(|node| node.lines().len() == 1), "each was asked once");
}
