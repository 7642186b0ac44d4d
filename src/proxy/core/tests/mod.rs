//! The engine, played in memory.

use super::rehearsal::client_bytes;
use super::rehearsal::node_bytes;
use super::rehearsal::walk;

mod draining;
mod failures;
mod flushing;
mod passages;
mod pipes;
mod pressure;
mod sessions;
mod subscriptions;
mod transactions;

#[test]
fn whatever_fails_replies_are_the_right_ones() {
    for seed in 0..40 {
        println!("seed {seed}");
        assert!(walk(Ok(seed), 300) > 0, "nobody was answered");
    }
}

#[test]
fn whatever_arrives_is_answered_or_ends_its_connection() {
    let requests =
        b"*2\r\n$3\r\nGET\r\n$2\r\ne1\r\nPING x\r\nget e1 m2 e3\r\nmn\r\nset e1 0 0 2\r\nab\r\n";
    let replies = b"$4\r\n<e1>\r\n*1\r\n:1\r\n+OK\r\nVALUE e1 0 4\r\n<e1>\r\nEND\r\nSTORED\r\n";
    for cut in 0..requests.len() {
        client_bytes(cut % 2 == 0, &requests[cut..], &[1, 2, 3, 40]);
        client_bytes(cut % 2 == 1, &requests[..cut], &[cut as u8]);
    }
    for cut in 0..replies.len() {
        node_bytes(cut as u8, &replies[cut..], &[3, 5, 30]);
    }
}
