//! Signals: the log, the end, and another configuration.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::support::Redis;
use super::support::line;
use super::support::pool;
use crate::support::Process;
use crate::support::eventually;
use crate::support::fake_node::FakeNode;
use crate::support::fake_node::Step;
use crate::support::free_port;
use crate::support::listens;
use crate::support::proxy::Program;
use crate::support::proxy::Proxy;
use crate::support::proxy_client::Client;
use crate::support::proxy_client::bulk;
use crate::support::proxy_client::request;
use crate::support::scratch;

const OK: &str = "+OK\r\n";
const PONG: &str = "+PONG\r\n";

/// Row 77.
#[test]
fn sighup_opens_the_log_again() {
    let Some(redis) = Redis::start(1) else { return };
    for program in Program::chosen() {
        let proxy = Proxy::start_with(program, &[redis.pool(&[])], &["-o", "proxy.log"]);
        let directory = proxy.process().directory();
        let (log, moved) = (directory.join("proxy.log"), directory.join("moved.log"));
        assert!(fs::metadata(&log).unwrap().len() > 0);
        fs::rename(&log, &moved).unwrap();
        proxy.process().signal(Signal::HUP);
        eventually("there is a new one", || log.exists());
        // Something to say goes into the new one.
        let before = fs::read_to_string(&moved).unwrap();
        proxy.process().signal(Signal::TTIN);
        eventually("it is written to", || fs::metadata(&log).unwrap().len() > 0);
        assert!(!fs::read_to_string(&moved).unwrap()[before.len()..].contains("level"));
        assert_eq!(proxy.client().ask("PING"), PONG, "{program:?}");
    }
}

/// What comes while it starts is kept until it has.
#[test]
fn signals_that_come_early_do_not_end_it() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let directory = scratch();
    let [port, stats] = [free_port(), free_port()];
    let file = format!("p:\n  listen: 127.0.0.1:{port}\n{}", redis.pool(&[]));
    fs::write(directory.join("F"), file).unwrap();
    let mut command = Program::Ours.command();
    command.args(["-c", "F", "-a", "127.0.0.1", "-s", &stats.to_string()]);
    let process = Process::start(&mut command, directory);
    // From its first word on.
    eventually("it says something", || process.log().contains("started on pid"));
    for signal in [Signal::HUP, Signal::TTIN, Signal::TTOU, Signal::USR1, Signal::USR2] {
        process.signal(signal);
    }
    eventually("it has obeyed", || process.log().contains("is reloaded, nothing is different"));
    assert_eq!(Client::connect(port).ask("PING"), PONG);
}

/// Row 77.
#[test]
fn sigttin_and_sigttou_turn_the_level_of_the_log() {
    let Some(redis) = Redis::start(1) else { return };
    for program in Program::chosen() {
        let proxy = Proxy::start_with(program, &[redis.pool(&[])], &["-o", "proxy.log", "-v", "5"]);
        let log = proxy.process().directory().join("proxy.log");
        let says = |text: &str| fs::read_to_string(&log).unwrap().contains(text);
        proxy.process().signal(Signal::TTIN);
        eventually("it says so", || says("up log level to 6"));
        proxy.process().signal(Signal::TTOU);
        eventually("it says so", || says("down log level to 5"));
        // More of them than there are levels do no harm.
        for _ in 0..20 {
            proxy.process().signal(Signal::TTOU);
        }
        for _ in 0..20 {
            proxy.process().signal(Signal::TTIN);
        }
        assert_eq!(proxy.client().ask("PING"), PONG, "{program:?}");
    }
}

/// Row 78. nutcracker is ended by the signal; we answer what is owed first.
#[test]
fn sigterm_lets_what_is_asked_be_answered() {
    for program in Program::chosen() {
        let node = FakeNode::start(|request| {
            vec![
                Step::Wait(Duration::from_millis(400)),
                Step::Send(bulk(&request.key()).into_bytes()),
            ]
        });
        let mut proxy = Proxy::start(program, &[pool(&["redis: true"], &[line(0, node.port())])]);
        let (mut busy, mut idle) = (proxy.client(), proxy.client());
        assert_eq!(idle.ask("PING"), PONG);
        busy.send([request("GET a"), request("PING")].concat());
        eventually("the node has it", || node.lines().len() == 1);
        proxy.process().signal(Signal::TERM);
        if program == Program::Ours {
            eventually("it listens no more", || !listens(proxy.port()));
            assert_eq!(busy.rest(), format!("{}{PONG}", bulk("a")));
            assert_eq!(idle.rest(), "");
            eventually("it has ended", || proxy.process_mut().has_ended());
            let status = proxy.process_mut().exit_status().expect("it has ended");
            assert_eq!(status.code(), Some(0), "{status}");
        } else {
            eventually("it has ended", || proxy.process_mut().has_ended());
            assert_eq!(busy.rest(), "");
        }
    }
}

/// Row 78: what was sent by then is answered, though most of it may be in the client's own socket.
#[test]
fn sigterm_lets_what_is_on_its_way_be_answered() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    for round in 0..10 {
        let mut proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
        let (mut whole, mut half) = (proxy.client(), proxy.client());
        assert_eq!(whole.ask("PING"), PONG);
        let value = "x".repeat((1 << 20) + (round << 17));
        let set = request(&format!("SET large {value}"));
        let (start, end) = set.split_at(set.len() / 3);
        half.send(start);
        proxy.process().signal(Signal::STOP);
        let batch = [set.clone(), request("GET large").repeat(3)].concat();
        let sender = thread::spawn(move || {
            whole.send(batch);
            whole
        });
        thread::sleep(Duration::from_millis(20));
        proxy.process().signal(Signal::TERM);
        proxy.process().signal(Signal::CONT);
        let mut whole = sender.join().unwrap();
        assert_eq!(whole.rest().len(), OK.len() + 3 * bulk(&value).len(), "round {round}");
        eventually("it listens no more", || !listens(proxy.port()));
        half.send(end);
        assert_eq!(half.rest(), OK, "round {round}");
        eventually("it has ended", || proxy.process_mut().has_ended());
    }
}

/// Row 78: who asks all the time does not keep it alive for ever, and nothing is lost.
#[test]
fn sigterm_under_load_loses_no_request() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let mut proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let asked = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (mut client, asked) = (proxy.client(), Arc::clone(&asked));
            let key = redis.key(number % 2, &format!("key{number}-"));
            thread::spawn(move || {
                for round in 1.. {
                    client.send(request(&format!("INCR {key}")));
                    match client.try_reply() {
                        Ok(reply) => assert_eq!(reply, format!(":{round}\r\n")),
                        // Between two requests it may be closed. Then this one was never sent on.
                        Err(_) => return (key, round - 1),
                    }
                    asked.fetch_add(1, SeqCst);
                }
                unreachable!()
            })
        })
        .collect();
    eventually("they are at it", || asked.load(SeqCst) > 100);
    proxy.process().signal(Signal::TERM);
    eventually("it has ended", || proxy.process_mut().has_ended());
    for (number, thread) in threads.into_iter().enumerate() {
        let (key, answered) = thread.join().unwrap();
        let value = redis.direct(number % 2).ask(&format!("GET {key}"));
        assert_eq!(value, bulk(&answered.to_string()), "what was done was answered");
    }
}

/// Section 7.
#[test]
fn sigint_ends_it() {
    let Some(redis) = Redis::start(1) else { return };
    for program in Program::chosen() {
        let mut proxy = Proxy::start(program, &[redis.pool(&[])]);
        proxy.process().signal(Signal::INT);
        eventually("it has ended", || proxy.process_mut().has_ended());
    }
}

/// Row 77: nutcracker only says that it got it.
#[test]
fn sigusr1_loads_the_file_again() {
    let Some(redis) = Redis::start(2) else { return };
    for program in Program::chosen() {
        let one = pool(&["redis: true"], &[line(0, redis.ports()[0])]);
        let proxy = Proxy::start(program, &[one]);
        let mut client = proxy.client();
        let key = redis.key(1, "key");
        assert_eq!(client.ask(&format!("SET {key} on-the-only-one")), OK);
        proxy.rewrite(&[redis.pool(&[])]);
        proxy.process().signal(Signal::USR1);
        if program == Program::Ours {
            // The client keeps its connection, and its key is on the new node.
            let get = format!("GET {key}");
            eventually("it is another ring", || client.ask(&get) == "$-1\r\n");
            assert_eq!(client.ask(&format!("SET {key} v")), OK);
            assert_eq!(redis.direct(1).ask(&get), bulk("v"));
            // Connections to nodes that stayed were kept.
            assert_eq!(proxy.node_stat("node0", "server_eof"), 0);
        } else {
            assert_eq!(client.ask(&format!("GET {key}")), bulk("on-the-only-one"));
        }
    }
}

#[test]
fn directives_that_have_changed_are_named_and_passwords_are_not_told() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let settings = |auth: &str| [format!("redis_auth: {auth}"), "timeout: 4000".to_owned()];
    let pool = |lines: &[String]| redis.pool(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let proxy = Proxy::start(Program::Ours, &[pool(&settings("swordfish")[..1])]);
    proxy.rewrite(&[pool(&settings("tunafish"))]);
    proxy.process().signal(Signal::USR1);
    for directive in ["timeout", "redis_auth"] {
        let line = format!("conf: pool 'pool000': directive \"{directive}\" has changed");
        eventually("it is named", || proxy.process().log().contains(&line));
    }
    let log = proxy.process().log();
    assert_eq!(log.matches("has changed").count(), 2, "{log}");
    assert!(!log.contains("fish"), "{log}");
    assert_eq!(proxy.client().ask("AUTH tunafish"), OK);
}

/// `timeout` signals its child and then its group, in which the child is.
#[test]
fn sigterm_that_comes_twice_at_once_counts_once() {
    if !Program::Ours.is_chosen() {
        return;
    }
    let node = FakeNode::start(|request| {
        vec![Step::Wait(Duration::from_millis(400)), Step::Send(bulk(&request.key()).into_bytes())]
    });
    let mut proxy = Proxy::start(Program::Ours, &[pool(&["redis: true"], &[line(0, node.port())])]);
    let mut client = proxy.client();
    client.send(request("GET a"));
    eventually("the node has it", || node.lines().len() == 1);
    proxy.process().signal(Signal::TERM);
    eventually("it is heard", || proxy.process().log().contains("(SIGTERM)"));
    proxy.process().signal(Signal::TERM);
    assert_eq!(client.rest(), bulk("a"));
    eventually("it has ended", || proxy.process_mut().has_ended());
    assert_eq!(proxy.process_mut().exit_status().and_then(|status| status.code()), Some(0));
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_is_told() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let proxy = Proxy::start(Program::Ours, &[redis.pool(&[])]);
    let keys = [0, 1].map(|node| redis.key(node, "key"));
    let mut client = proxy.client();
    assert_eq!(client.ask(&format!("MSET {} v", keys.join(" v "))), OK);
    let good = fs::read_to_string(proxy.file()).unwrap();
    let wrong = [
        (format!("{good}\n  foo: 1\n"), "directive \"foo\" is unknown"),
        (good.replace("redis: true", "redis: yes"), "is not \"true\" or \"false\""),
        (String::new(), "must contain only 1 document"),
    ];
    for (text, reason) in wrong {
        proxy.rewrite_text(&text);
        proxy.process().signal(Signal::USR1);
        eventually("the reason is told", || proxy.process().log().contains(reason));
        assert_eq!(client.ask(&format!("MGET {}", keys.join(" "))), "*2\r\n$1\r\nv\r\n$1\r\nv\r\n");
        assert_eq!(proxy.client().ask("PING"), PONG);
    }
    fs::remove_file(proxy.file()).unwrap();
    proxy.process().signal(Signal::USR1);
    assert_eq!(client.ask(&format!("GET {}", keys[0])), bulk("v"));
}

/// Issue: a hundred reloads under load lose no request.
#[test]
fn a_hundred_reloads_under_load_lose_nothing() {
    let Some(redis) = Redis::start(3) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    // Keys of the second node are on it in both configurations, others move.
    let whole = redis.pool(&[]);
    let reordered = redis.pool(&["timeout: 30000", "server_failure_limit: 3"]);
    let smaller = pool(&["redis: true"], &[0, 1].map(|node| line(node, redis.ports()[node])));
    let proxy = Proxy::start(Program::Ours, std::slice::from_ref(&whole));
    let is_over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (mut client, is_over) = (proxy.client(), Arc::clone(&is_over));
            let keys = [0, 1, 2].map(|node| redis.key(node, &format!("client{number}-")));
            thread::spawn(move || {
                let mut count = 0;
                while !is_over.load(SeqCst) {
                    for key in &keys {
                        assert_eq!(client.ask(&format!("SET {key} {key}")), OK);
                        let value = client.ask(&format!("GET {key}"));
                        // Between the two the key may have moved.
                        assert!(value == bulk(key) || value == "$-1\r\n", "{key}: {value}");
                    }
                    let all = client.ask(&format!("MGET {}", keys.join(" ")));
                    assert!(all.starts_with("*3\r\n"), "{all}");
                    count += 1;
                }
                count
            })
        })
        .collect();
    for number in 0..100 {
        let pools = [[&reordered, &smaller, &whole][number % 3].clone()];
        proxy.rewrite(&pools);
        proxy.process().signal(Signal::USR1);
        // One behind the other: a signal that comes while another waits is the same one.
        let nodes = if number % 3 == 1 { 2 } else { 3 };
        eventually("it is loaded", || {
            let pool = &proxy.stats()["pool000"];
            pool.as_object().unwrap().values().filter(|value| value.is_object()).count() == nodes
        });
    }
    is_over.store(true, SeqCst);
    for thread in threads {
        assert!(thread.join().unwrap() > 0);
    }
    // Connections of the node that was always there were kept.
    assert_eq!(proxy.node_stat("node0", "server_eof") + proxy.node_stat("node0", "server_err"), 0);
}

#[test]
fn pools_come_and_go_with_the_file() {
    let Some(redis) = Redis::start(1) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let pools = [redis.pool(&[]), redis.pool(&[])];
    let proxy = Proxy::start(Program::Ours, &pools);
    let second = proxy.ports()[1];
    assert_eq!(Client::connect(second).ask("PING"), PONG);
    proxy.rewrite(&pools[..1]);
    proxy.process().signal(Signal::USR1);
    eventually("the second pool is gone", || !listens(second));
    assert_eq!(proxy.client().ask("PING"), PONG);
    proxy.rewrite(&pools);
    proxy.process().signal(Signal::USR1);
    eventually("it is back", || listens(second));
    assert_eq!(Client::connect(second).ask("PING"), PONG);
}

#[test]
fn a_watched_file_is_loaded_when_it_changes() {
    let Some(redis) = Redis::start(2) else { return };
    if !Program::Ours.is_chosen() {
        return;
    }
    let one = pool(&["redis: true"], &[line(0, redis.ports()[0])]);
    let proxy = Proxy::start_with(Program::Ours, &[one], &["--watch"]);
    let mut client = proxy.client();
    let key = redis.key(1, "key");
    assert_eq!(client.ask(&format!("SET {key} v")), OK);
    proxy.rewrite(&[redis.pool(&[])]);
    eventually("it is another ring", || client.ask(&format!("GET {key}")) == "$-1\r\n");
}
