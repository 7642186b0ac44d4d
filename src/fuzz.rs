//! What must hold of any bytes and of any request, as functions that panic where it does not.
//!
//! The fuzz targets in `tests/fuzz` call them, and so do the tests below with fewer inputs. They stand
//! here because they need what is not public. Not for applications.

use std::collections::BTreeSet;

use crate::client::read_reply;
use crate::command::CommandRule;
use crate::command::CommandTable;
use crate::command::FanOut;
use crate::command::Found;
use crate::command::Keys;
use crate::distribution::DistributionKind;
use crate::node::Node;
use crate::plan::Plan;
use crate::plan::Split;
use crate::plan::scatter;
use crate::protocol::resp::BrokenFrame;
use crate::protocol::resp::Scanner;
use crate::protocol::resp::request;
use crate::topology::Router;
use crate::topology::Topology;

mod memcache;
mod proxy;
mod serving;

pub use memcache::memcache;
pub use proxy::proxy_client;
pub use proxy::proxy_node;
pub use proxy::proxy_walk;
pub use serving::inline_command;
pub use serving::memcache_reply_ends;
pub use serving::memcache_requests;

/// Replies in `bytes` have the same ends whether they come at once or cut into pieces, `sizes` being the
/// lengths of these; and what they say is what redis-rs reads.
pub fn replies(bytes: &[u8], sizes: &[u8]) {
    let whole = frames(bytes, &[]);
    assert_eq!(frames(bytes, sizes), whole, "cut into {sizes:?}");
    let mut rest = bytes;
    for length in whole.0 {
        let (frame, behind) = rest.split_at(length);
        complete(frame);
        rest = behind;
    }
    // Behind the last whole reply redis-rs sees none either.
    let theirs = redis::parse_redis_value(rest);
    match whole.1 {
        None => assert!(theirs.is_err(), "redis-rs reads {theirs:?}"),
        // Numbers that redis-rs reads and no server writes, and limits that redis-rs does not have.
        Some(BrokenFrame::Length | BrokenFrame::LineTooLong | BrokenFrame::StringTooLong) => {}
        Some(broken) => assert!(theirs.is_err(), "{broken}, but redis-rs reads {theirs:?}"),
    }
}

/// The lengths of the replies in `bytes`, which come in pieces of these sizes and a last one, and what is
/// wrong with the rest.
fn frames(bytes: &[u8], sizes: &[u8]) -> (Vec<usize>, Option<BrokenFrame>) {
    let mut scanner = Scanner::default();
    let (mut start, mut end, mut lengths) = (0, 0usize, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        end = sizes.next().map_or(bytes.len(), |&size| bytes.len().min(end + usize::from(size)));
        loop {
            match scanner.scan(&bytes[start..end]) {
                Ok(Some(length)) => {
                    assert!(length > 0, "a reply has no bytes");
                    lengths.push(length);
                    start += length;
                }
                Ok(None) => break,
                Err(broken) => return (lengths, Some(broken)),
            }
        }
        assert!(scanner.missing(&bytes[start..end]) > 0, "nothing is missing of a cut reply");
        if end == bytes.len() {
            return (lengths, None);
        }
    }
}

/// `frame` is one whole reply, and is read as redis-rs reads it.
fn complete(frame: &[u8]) {
    let all_but_one = &frame[..frame.len() - 1];
    assert!(redis::parse_redis_value(all_but_one).is_err(), "it ends earlier for redis-rs");
    match (read_reply(frame), redis::parse_redis_value(frame)) {
        // NaN is the only value that does not equal itself.
        (Ok(ours), Ok(theirs)) => assert_eq!(format!("{ours:?}"), format!("{theirs:?}")),
        (Err(_), Err(_)) => {}
        // redis-rs gives up over text that is not UTF-8.
        (Ok(_), Err(_)) => assert!(std::str::from_utf8(frame).is_err(), "redis-rs reads nothing"),
        (Err(_), Ok(theirs)) => panic!("redis-rs reads {theirs:?}"),
    }
}

/// The request `args` to a pool of `nodes` nodes goes where its keys are, and if it is split nothing of
/// it is lost. There is at least one argument, and at least one node.
pub fn requests(args: &[&[u8]], nodes: usize) {
    let table = CommandTable::new();
    let Found::Rule(rule) = table.find(args[0], || args.get(1).copied()) else {
        panic!("the table is strict");
    };
    let rule = rule.for_arguments(args);
    let router = router(nodes);
    rule.waiting(args);
    let keys = rule.keys_of(args).ok();
    for place in keys.iter().flat_map(|keys| keys.places.iter().chain(&keys.patterns)) {
        assert!((1..args.len()).contains(place), "argument {place} is no key");
    }
    let places = if rule.routes_by_channel() { Some(Vec::new()) } else { places(&keys) };
    assert_eq!(table.key_places(args), places);
    match scatter(args, rule, &router) {
        // The node that is to say what is wrong with it.
        Ok(Plan::One(_))
            if matches!(rule.fan_out(), FanOut::ByKey(_)) && rule.units_of(args).is_err() => {}
        Ok(Plan::One(node)) => {
            let keys = keys.into_iter().flat_map(|keys| keys.places);
            for key in keys.map(|place| args[place]) {
                assert_eq!(router.node_for_key(key), Some(node), "{}", key.escape_ascii());
            }
        }
        Ok(Plan::Split(split)) => fragments(args, rule, &split, &router),
        Ok(Plan::All(_) | Plan::UntilFound | Plan::Special(_)) => {}
        Err(error) => assert!(nodes > 1, "refused on one node: {error}"),
    }
}

fn places(keys: &Option<Keys>) -> Option<Vec<usize>> {
    keys.as_ref().map(|keys| keys.places.clone())
}

/// Each fragment is a request of the same command for keys of its node, and together they have all keys.
fn fragments(args: &[&[u8]], rule: &CommandRule, split: &Split, router: &Router) {
    let mut seen = BTreeSet::<u32>::new();
    let (mut nodes, mut arguments) = (BTreeSet::new(), 0);
    let units = rule.units_of(args).expect("what is split has units");
    let fixed = args.len() - units.count * units.step;
    for (fragment, node) in split.nodes().enumerate() {
        assert!(nodes.insert(node), "a node has two fragments");
        seen.extend(split.places(fragment));
        let (mut bytes, mut part) = (Vec::new(), Vec::new());
        split.write(fragment, args, &mut bytes);
        assert_eq!(request(&bytes, &mut part), Ok(bytes.len()), "a fragment is a request");
        let keys = rule.keys_of(&part).expect("a fragment has keys");
        let keys: Vec<&[u8]> = keys.places.into_iter().map(|place| part[place]).collect();
        assert_eq!(keys, split.keys(fragment, args).collect::<Vec<_>>());
        assert!(keys.iter().all(|key| router.node_for_key(key) == Some(node)));
        assert_eq!(part[..units.first], args[..units.first]);
        arguments += part.len() - fixed;
    }
    assert!(seen.into_iter().eq(0..split.key_count() as u32), "each key is in one fragment");
    assert_eq!(arguments + fixed, args.len());
}

fn router(nodes: usize) -> Router {
    let nodes = (0..nodes).map(|index| format!("10.0.0.{index}:6379:1").parse::<Node>());
    let nodes: Vec<_> = nodes.collect::<Result<_, _>>().expect("lines of nodes");
    // Its ring costs nothing to build.
    let topology = Topology::new(nodes).expect("there is a node");
    let topology = topology.with_distribution(DistributionKind::Modula);
    topology.with_hash_tag("{}".parse().expect("two characters")).router()
}

#[cfg(test)]
mod tests;
