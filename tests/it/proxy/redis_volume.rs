//! Large values, long pipelines, and every command that nutcracker passes on.

use super::support::Redis;
use super::support::Sides;
use crate::support::proxy_client::request;
use crate::support::proxy_client::request_of;
use crate::support::proxy_client::requests;

const OK: &str = "+OK\r\n";

/// Sizes around those of buffers.
const EDGES: [usize; 5] = [1 << 9, 1 << 14, 1 << 16, 1 << 18, 1 << 20];

/// Section 8.2, "payload sizes".
#[test]
fn values_at_the_edges_of_buffers_come_back_whole() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let mut client = proxy.client();
        for edge in EDGES {
            // The head of the request, the head of the reply and the line end belong to it.
            for size in (edge - 40..=edge + 2).step_by(if edge > 1 << 16 { 7 } else { 1 }) {
                let value = value(size);
                assert_eq!(client.ask_with(&[b"SET", b"k", value.as_bytes()]), OK);
                let reply = client.ask("GET k");
                let expected = format!("${size}\r\n{value}\r\n");
                assert!(reply == expected, "{size}: {} bytes", reply.len());
            }
        }
    });
}

/// Section 8.2: in pieces of all lengths, as networks deliver.
#[test]
fn large_values_between_small_ones_keep_their_order() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let sizes = [1, 100_000, 0, 16_384, 5, 1_048_576, 3, 65_535, 65_537, 2];
        let keys: Vec<_> = (0..sizes.len())
            .map(|number| redis.key(number % 3, &format!("key{number}-")))
            .collect();
        let mut client = proxy.client();
        for (key, size) in keys.iter().zip(sizes) {
            let set = request_of(&[b"SET", key.as_bytes(), value(size).as_bytes()]);
            client.send(set);
        }
        let gets: Vec<_> = keys.iter().map(|key| format!("GET {key}")).collect();
        let gets: Vec<_> = gets.iter().map(String::as_str).collect();
        client.send(requests(&gets));
        client.send(request(&format!("MGET {}", keys.join(" "))));
        for _ in &keys {
            assert_eq!(client.reply(), OK);
        }
        let expected = sizes.map(|size| format!("${size}\r\n{}\r\n", value(size)));
        for expected in &expected {
            assert!(client.reply() == *expected);
        }
        assert!(client.reply() == format!("*{}\r\n{}", sizes.len(), expected.concat()));
    });
}

#[test]
fn large_values_may_be_split_too() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let keys: Vec<_> =
            (0..6).map(|number| redis.key(number % 3, &format!("key{number}-"))).collect();
        let values = [300_000, 1, 70_000, 16_000, 0, 200_000].map(value);
        let mut args: Vec<&[u8]> = vec![b"MSET"];
        for (key, value) in keys.iter().zip(&values) {
            args.extend([key.as_bytes(), value.as_bytes()]);
        }
        let mut client = proxy.client();
        assert_eq!(client.ask_with(&args), OK);
        let reply = client.ask(&format!("MGET {}", keys.join(" ")));
        let expected = values.each_ref().map(|value| format!("${}\r\n{value}\r\n", value.len()));
        assert!(reply == format!("*6\r\n{}", expected.concat()));
        // Slowly, byte by byte at the seams.
        let bytes = request_of(&args);
        for piece in bytes.chunks(4099) {
            client.send(piece);
        }
        assert_eq!(client.reply(), OK);
    });
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let Some(redis) = Redis::start(3) else { return };
    Sides::start(&redis, &[]).each(|proxy| {
        let mut bytes = Vec::new();
        let mut expected = String::new();
        for number in 0..1000 {
            let key = format!("{}-key", number * 7919 % 1000);
            match number % 5 {
                0 => bytes.extend(request("PING")),
                _ => {
                    bytes.extend(request(&format!("SET {key} value-{number}")));
                    bytes.extend(request(&format!("GET {key}")));
                }
            }
            if number % 5 == 0 {
                expected += "+PONG\r\n";
            } else {
                let value = format!("value-{number}");
                expected += &format!("{OK}${}\r\n{value}\r\n", value.len());
            }
            if number % 50 == 49 {
                bytes.extend(request(&format!("MGET {key} none {key}")));
                let value = format!("$9\r\nvalue-{number}\r\n")
                    .replace("$9", &format!("${}", 6 + number.to_string().len()));
                expected += &format!("*3\r\n{value}$-1\r\n{value}");
            }
        }
        assert_eq!(proxy.transcript(&bytes), expected);
    });
}

/// Row 70: also over several connections to a node, a client sees what it has done.
#[test]
fn a_client_finds_what_it_has_written() {
    let Some(redis) = Redis::start(2) else { return };
    Sides::ours(&redis, &["server_connections: 2"]).each(|proxy| {
        let clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
        let threads = clients.into_iter().enumerate().map(|(number, mut client)| {
            let key = redis.key(0, &format!("key{number}-"));
            std::thread::spawn(move || {
                let long = "x".repeat(20_000);
                for round in 0..50 {
                    let mut bytes = Vec::new();
                    for step in 0..10 {
                        // A long one takes longer on the one connection than the GET on the other.
                        bytes.extend(request(&format!("SET {key} {round}-{step}-{long}")));
                        bytes.extend(request(&format!("GETRANGE {key} 0 9")));
                    }
                    client.send(bytes);
                    for step in 0..10 {
                        assert_eq!(client.reply(), OK);
                        let value = client.reply();
                        assert!(value.contains(&format!("\r\n{round}-{step}-")), "{value}");
                    }
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(proxy.node_stat("node0", "server_connections"), 2);
    });
}

/// Section 4.2: all commands, with the arguments that they take.
#[test]
fn every_command_of_nutcracker_is_answered_alike() {
    // One node: keys of one command on several are refused by ours (row 37).
    let Some(redis) = Redis::start(1) else { return };
    let sides = Sides::start(&redis, &[]);
    let lines = include_str!("commands.txt").lines();
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    // One by one, for an answer each; a wrong one is found by its name.
    let mut transcript = String::new();
    for chunk in lines.chunks(20) {
        transcript += &sides.alike(requests(chunk));
    }
    assert!(!transcript.contains("unknown command"), "{transcript}");
    // At once, so that each finds what the others left.
    let replies = sides.alike(requests(&lines));
    assert!(replies.len() > 1000, "{replies}");
}

fn value(size: usize) -> String {
    let pattern = "The quick brown fox jumps over the lazy dog 0123456789. ";
    pattern.chars().cycle().take(size).collect()
}
