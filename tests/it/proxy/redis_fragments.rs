//! Nodes that answer fragments with what is no reply to them. nutcracker passes it on, hangs or crashes.

use super::support::assert_fits;
use super::support::key_on;
use super::support::line;
use super::support::pool;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Request;
use crate::support::fake_node::reply;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::requests;

const PONG: &str = "+PONG\r\n";

/// Row 81.
#[test]
fn a_fragments_reply_of_the_wrong_type_is_an_error_of_that_request() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let wrong = [
        ("MGET", "+OK\r\n"),
        ("MGET", "*-1\r\n"),
        ("MGET", "*0\r\n"),
        ("MGET", "*1\r\n:5\r\n"),
        ("MGET", "*1\r\n*1\r\n$1\r\nv\r\n"),
        ("MGET", "*2\r\n$1\r\nv\r\n$1\r\nv\r\n"),
        ("MGET", ":1\r\n"),
        ("MGET", "$1\r\nv\r\n"),
        ("MGET", "$-1\r\n"),
        ("DEL", "*1\r\n:1\r\n"),
        ("DEL", "+OK\r\n"),
        ("DEL", "$1\r\n1\r\n"),
        ("DEL", ":one\r\n"),
        ("DEL", ":\r\n"),
        ("DEL", ":99999999999999999999\r\n"),
        ("MSET", ":1\r\n"),
        ("MSET", "*1\r\n+OK\r\n"),
        ("MSET", "$2\r\nOK\r\n"),
        ("MSET", "*-1\r\n"),
    ];
    for (command, text) in wrong {
        let script = move |request: &Request| {
            let line = request.line().to_lowercase();
            match line.split(' ').next().unwrap() {
                _ if line.contains("bad") => reply(text),
                "mget" => reply("*1\r\n$1\r\nv\r\n"),
                "mset" => reply("+OK\r\n"),
                "get" => reply("$1\r\nv\r\n"),
                _ => reply(":1\r\n"),
            }
        };
        let nodes: Vec<_> = (0..3).map(|_| FakeNode::start(script)).collect();
        let lines = nodes.iter().enumerate().map(|(number, node)| line(number, node.port()));
        let lines: Vec<_> = lines.collect();
        let proxy = Proxy::start(Program::Ours, &[pool(&["redis: true"], &lines)]);
        let [bad, good, fine] =
            [(0, "bad"), (1, "k"), (2, "k")].map(|(n, salt)| key_on(3, n, salt));
        let value = if command == "MSET" { " v" } else { "" };
        let asked = format!("{command} {good}{value} {bad}{value} {fine}{value}");
        let transcript = proxy.transcript(&requests(&[&asked, "PING", &format!("GET {good}")]));
        let ok = format!("-ERR …\r\n{PONG}$1\r\nv\r\n");
        assert_fits(&transcript, &ok);
        let mut client = proxy.client();
        let get = format!("GET {}", key_on(3, 0, "fine"));
        eventually("the node is asked again", || client.ask(&get) == "$1\r\nv\r\n");
    }
}

/// Row 81: three at once made nutcracker hang.
#[test]
fn fragments_of_which_all_are_wrong_end_as_one_error() {
    if !Program::Ours.is_chosen() {
        return;
    }
    for text in ["*1\r\n:5\r\n", "*-1\r\n", "+OK\r\n"] {
        let script = move |request: &Request| match request.args[0].to_ascii_lowercase().as_slice()
        {
            b"get" => reply("$1\r\nv\r\n"),
            _ => reply(text),
        };
        let nodes: Vec<_> = (0..3).map(|_| FakeNode::start(script)).collect();
        let lines = nodes.iter().enumerate().map(|(number, node)| line(number, node.port()));
        let proxy =
            Proxy::start(Program::Ours, &[pool(&["redis: true"], &lines.collect::<Vec<_>>())]);
        let keys = [0, 1, 2].map(|node| key_on(3, node, "k")).join(" ");
        let mut client = proxy.client();
        for _ in 0..10 {
            assert_fits(&client.ask(&format!("MGET {keys}")), "-ERR …\r\n");
            assert_eq!(client.ask("PING"), PONG);
        }
        let get = format!("GET {}", key_on(3, 1, "k"));
        eventually("it is asked again", || client.ask(&get) == "$1\r\nv\r\n");
    }
}

/// Section 4.6: sums are of 64 bits.
#[test]
fn great_numbers_are_summed() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let nodes: Vec<_> = (0..2).map(|_| FakeNode::start(|_| reply(":4294967297\r\n"))).collect();
    let lines = nodes.iter().enumerate().map(|(number, node)| line(number, node.port()));
    let proxy = Proxy::start(Program::Ours, &[pool(&["redis: true"], &lines.collect::<Vec<_>>())]);
    let keys = [0, 1].map(|node| key_on(2, node, "k")).join(" ");
    assert_eq!(proxy.client().ask(&format!("DEL {keys}")), ":8589934594\r\n");
}
