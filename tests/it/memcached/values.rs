//! What a caller puts in comes out unchanged, or is refused before anything is sent.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::io::Write;

use memcache::ClientError;
use memcache::CommandError;
use memcache::MemcacheError;
use memcache::ServerError;
use memcache::ToMemcacheValue;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use shardwright::MemcacheProtocol;
use shardwright::ShardedMemcache;

use super::builder;
use crate::support::memcached::Memcached;

type Versioned = (Vec<u8>, u32, Option<u64>);

/// A value of the application's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flagged {
    flags: u32,
    bytes: Vec<u8>,
}

impl<W: Write> ToMemcacheValue<W> for Flagged {
    fn get_flags(&self) -> u32 {
        self.flags
    }

    fn get_length(&self) -> usize {
        self.bytes.len()
    }

    fn write_to(&self, stream: &mut W) -> io::Result<()> {
        stream.write_all(&self.bytes)
    }
}

/// What is done with a key.
#[derive(Clone, Debug)]
enum Step {
    Get,
    Set(Flagged, u32),
    Add(Flagged),
    Replace(Flagged),
    Append(Vec<u8>),
    Prepend(Vec<u8>),
    /// With the number that is right, or another.
    Cas(Flagged, bool),
    Delete,
    Increment(u64),
    Decrement(u64),
    Touch(u32),
    Many(Vec<(usize, Flagged)>),
}

/// As small as memcached 1.6 has it.
const SMALL: usize = 1024;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        2 => any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        1 => "[ 0-9]{0,22}".prop_map(String::into_bytes),
        2 => prop_oneof!["\r\n", "END\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n", "flush_all\r\n", "HD O1\r\n"]
            .prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), SMALL - 150..SMALL + 20),
        1 => (SMALL * 10..SMALL * 100).prop_map(|length| vec![b'x'; length]),
    ]
}

fn flagged() -> impl Strategy<Value = Flagged> {
    (any::<u32>(), bytes()).prop_map(|(flags, bytes)| Flagged { flags, bytes })
}

/// Expirations that are not over before the test is: for ever, an hour, dates behind today's.
fn expiration() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 600_u32..2_592_000, 2_000_000_000..u32::MAX, Just(u32::MAX)]
}

/// Keys, some of which are none.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        2 => "[a-z]{1,3}",
        2 => "\\PC{1,80}",
        1 => "[a-z \r\n\0\t\x7f]{0,6}",
        1 => (245_usize..256).prop_map(|length| "k".repeat(length)),
        1 => (120_usize..128).prop_map(|length| "ж".repeat(length)),
    ]
}

fn is_key(key: &str) -> bool {
    (1..=250).contains(&key.len()) && !key.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Get),
        (flagged(), expiration()).prop_map(|(value, expiration)| Step::Set(value, expiration)),
        flagged().prop_map(Step::Add),
        flagged().prop_map(Step::Replace),
        bytes().prop_map(Step::Append),
        bytes().prop_map(Step::Prepend),
        (flagged(), any::<bool>()).prop_map(|(value, is_right)| Step::Cas(value, is_right)),
        Just(Step::Delete),
        any::<u64>().prop_map(Step::Increment),
        any::<u64>().prop_map(Step::Decrement),
        expiration().prop_map(Step::Touch),
        prop::collection::vec((0_usize..8, flagged()), 0..8).prop_map(Step::Many),
    ]
}

/// A client and what must be stored.
struct World {
    cache: ShardedMemcache,
    stored: HashMap<String, Flagged>,
    creates: bool,
}

fn is_too_large(error: &MemcacheError) -> bool {
    matches!(error, MemcacheError::ServerError(ServerError::Error(text))
        if text == "SERVER_ERROR object too large for cache"
            || text == "SERVER_ERROR out of memory storing object")
}

impl World {
    fn requests(&self) -> u64 {
        self.cache.metrics().iter().map(|metrics| metrics.requests).sum()
    }

    fn read(&self, key: &str) -> Option<Flagged> {
        let found: Option<Versioned> = self.cache.get(key).unwrap();
        found.map(|(bytes, flags, cas)| {
            assert!(cas.is_some());
            Flagged { flags, bytes }
        })
    }

    /// Carries `step` out, and asserts that the outcome is that of the model.
    fn take(&mut self, key: &str, keys: &[String], step: &Step) {
        if let Step::Many(entries) = step {
            return self.take_many(entries, keys);
        }
        if !is_key(key) {
            return self.is_refused(key, step);
        }
        let before = self.stored.get(key).cloned();
        match step {
            Step::Get => {}
            Step::Set(value, expiration) => {
                let result = self.cache.set(key, value.clone(), *expiration);
                self.settle(key, value, result, true, None);
            }
            Step::Add(value) => {
                let result = self.cache.add(key, value.clone(), 0);
                self.settle(key, value, result, before.is_none(), Some(CommandError::KeyExists));
            }
            Step::Replace(value) => {
                let result = self.cache.replace(key, value.clone(), 0);
                self.settle(key, value, result, before.is_some(), Some(CommandError::KeyNotFound));
            }
            Step::Append(bytes) | Step::Prepend(bytes) => {
                let is_append = matches!(step, Step::Append(_));
                let result = match is_append {
                    true => self.cache.append(key, &**bytes),
                    false => self.cache.prepend(key, &**bytes),
                };
                let joined = before.clone().map(|old| Flagged {
                    flags: old.flags,
                    bytes: match is_append {
                        true => [&*old.bytes, bytes].concat(),
                        false => [bytes, &*old.bytes].concat(),
                    },
                });
                match (result, joined) {
                    (Ok(()), Some(joined)) => drop(self.stored.insert(key.into(), joined)),
                    // A value that becomes too large counts as none.
                    (Err(MemcacheError::CommandError(CommandError::KeyNotFound)), joined) => {
                        assert!(joined.is_none_or(|joined| joined.bytes.len() > SMALL - 200));
                    }
                    (Err(error), _) if is_too_large(&error) => self.may_be_gone(key),
                    other => panic!("{step:?}: {other:?}"),
                }
            }
            Step::Cas(value, is_right) => {
                let found: Option<Versioned> = self.cache.get(key).unwrap();
                let right = found.map_or(7, |(_, _, cas)| cas.unwrap());
                let number = if *is_right { right } else { right + 1_000_000 };
                match self.cache.cas(key, value.clone(), 0, number) {
                    Ok(is_stored) => {
                        assert_eq!(is_stored, *is_right && before.is_some());
                        if is_stored {
                            self.stored.insert(key.into(), value.clone());
                        }
                    }
                    Err(error) => {
                        assert!(is_too_large(&error), "{error:?}");
                        self.may_be_gone(key);
                    }
                }
            }
            Step::Delete => {
                assert_eq!(self.cache.delete(key).unwrap(), before.is_some());
                self.stored.remove(key);
            }
            Step::Increment(amount) => {
                let result = self.cache.increment(key, *amount);
                self.count(key, result, |number| number.wrapping_add(*amount));
            }
            Step::Decrement(amount) => {
                let result = self.cache.decrement(key, *amount);
                self.count(key, result, |number| number.saturating_sub(*amount));
            }
            Step::Touch(expiration) => {
                assert_eq!(self.cache.touch(key, *expiration).unwrap(), before.is_some());
            }
            Step::Many(_) => unreachable!("that was done above"),
        }
        assert_eq!(self.read(key), self.stored.get(key).cloned(), "behind {step:?} of {key:?}");
    }

    /// What became of a value that should be stored if `is_due`.
    fn settle(
        &mut self,
        key: &str,
        value: &Flagged,
        result: Result<(), MemcacheError>,
        is_due: bool,
        refusal: Option<CommandError>,
    ) {
        match (result, refusal) {
            (Ok(()), _) => {
                assert!(is_due, "{key:?} was not to be stored");
                self.stored.insert(key.into(), value.clone());
            }
            (Err(error), _) if is_too_large(&error) => {
                assert!(value.bytes.len() + key.len() > SMALL - 200, "{}", value.bytes.len());
                self.may_be_gone(key);
            }
            (Err(MemcacheError::CommandError(error)), Some(refusal)) => {
                assert_eq!((format!("{error:?}"), is_due), (format!("{refusal:?}"), false));
            }
            (other, _) => panic!("{key:?}: {other:?}"),
        }
    }

    /// A server that cannot store a value forgets the one that is there, or keeps it.
    fn may_be_gone(&mut self, key: &str) {
        if self.read(key).is_none() {
            self.stored.remove(key);
        }
    }

    fn count(&mut self, key: &str, result: Result<u64, MemcacheError>, sum: impl Fn(u64) -> u64) {
        let Some(old) = self.stored.get(key).cloned() else {
            if self.creates {
                assert_eq!(result.unwrap(), 0);
                let zero = Flagged { flags: 0, bytes: b"0".to_vec() };
                self.stored.insert(key.into(), zero);
            } else {
                let error = result.unwrap_err();
                assert!(matches!(error, MemcacheError::CommandError(CommandError::KeyNotFound)));
            }
            return;
        };
        let text = String::from_utf8(old.bytes.clone()).unwrap_or_default();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 20;
        match (result, text.parse::<u64>()) {
            (Ok(number), Ok(old_number)) if is_plain => assert_eq!(number, sum(old_number)),
            // In numbers that great memcached 1.6.18 looks for a minus beyond their end.
            (Err(error), Ok(number)) if is_plain && number < 1 << 63 => {
                panic!("{text:?}: {error:?}")
            }
            // The server is generous: with spaces around a number, and even without one.
            (Ok(_), _) => {}
            (Err(error), _) => {
                assert!(matches!(error, MemcacheError::ClientError(_)), "{error:?}");
                return;
            }
        }
        // One that gets shorter is filled up with spaces.
        let found = self.read(key).expect("it was counted");
        assert_eq!(found.flags, old.flags);
        self.stored.insert(key.into(), found);
    }

    /// Nothing is sent for what is no key.
    fn is_refused(&self, key: &str, step: &Step) {
        let before = self.requests();
        let value = "x";
        let result = match step {
            Step::Get => self.cache.get::<String>(key).map(drop),
            Step::Set(..) => self.cache.set(key, value, 0),
            Step::Add(_) => self.cache.add(key, value, 0),
            Step::Replace(_) => self.cache.replace(key, value, 0),
            Step::Append(_) => self.cache.append(key, value),
            Step::Prepend(_) => self.cache.prepend(key, value),
            Step::Cas(..) => self.cache.cas(key, value, 0, 1).map(drop),
            Step::Delete => self.cache.delete(key).map(drop),
            Step::Increment(_) => self.cache.increment(key, 1).map(drop),
            Step::Decrement(_) => self.cache.decrement(key, 1).map(drop),
            _ => self.cache.touch(key, 0).map(drop),
        };
        let Err(MemcacheError::ClientError(error)) = result else { panic!("{key:?}: {result:?}") };
        let is_long = matches!(error, ClientError::KeyTooLong);
        assert_eq!(is_long, key.len() > 250, "{key:?}: {error:?}");
        assert!(self.cache.gets::<String>(&["fine", key]).is_err());
        assert_eq!(self.requests(), before, "{key:?} was sent");
    }

    fn take_many(&mut self, entries: &[(usize, Flagged)], keys: &[String]) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(place, value)| (&keys[place % keys.len()], value.clone()))
            .collect();
        let results = self.cache.set_many(&entries, 0);
        assert_eq!(results.len(), entries.len());
        for ((key, value), result) in entries.iter().zip(results) {
            match result {
                Ok(()) => {
                    assert!(is_key(key));
                    self.stored.insert((*key).clone(), value.clone());
                }
                Err(MemcacheError::ClientError(_)) => assert!(!is_key(key)),
                Err(error) => {
                    assert!(is_too_large(&error), "{error:?}");
                    // Forgotten at once; what came later in this call is stored again below.
                    self.stored.remove(*key);
                }
            }
        }
        let found = self.cache.get_many::<(Vec<u8>, u32), _>(keys);
        for (key, found) in keys.iter().zip(found) {
            match found {
                Ok(found) => {
                    let found = found.map(|(bytes, flags)| Flagged { flags, bytes });
                    assert_eq!(found.as_ref(), self.stored.get(key), "{key:?}");
                }
                Err(error) => assert!(!is_key(key), "{key:?}: {error:?}"),
            }
        }
        let good: Vec<_> = keys.iter().map(String::as_str).filter(|key| is_key(key)).collect();
        let found: BTreeMap<_, _> =
            self.cache.gets::<Vec<u8>>(&good).unwrap().into_iter().collect();
        let expected = good
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), self.stored.get(*key)?.bytes.clone())));
        assert_eq!(found, expected.collect());
        let deleted = self.cache.delete_many(&keys[..1]);
        match &deleted[0] {
            Ok(deleted) => assert_eq!(*deleted, self.stored.remove(&keys[0]).is_some()),
            Err(_) => assert!(!is_key(&keys[0])),
        }
    }
}

fn run(count: usize, protocol: MemcacheProtocol) {
    let arguments = ["-I", "1024", "-o", "slab_chunk_max=512"];
    let servers: Option<Vec<_>> = (0..count).map(|_| Memcached::start_with(&arguments)).collect();
    let Some(servers) = servers else { return };
    let cache = builder(&servers).protocol(protocol).build().unwrap();
    let creates = protocol != MemcacheProtocol::Ascii;
    let keys = prop::collection::vec(key(), 1..8);
    let steps = prop::collection::vec((any::<usize>(), step()), 1..25);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let outcome = runner.run(&(keys, steps), |(keys, steps)| {
        cache.flush().unwrap();
        let mut world = World { cache: cache.clone(), stored: HashMap::new(), creates };
        for (place, step) in &steps {
            world.take(&keys[place % keys.len()], &keys, step);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    for metrics in cache.metrics() {
        assert_eq!((metrics.failures, metrics.connections), (0, 1), "{metrics:?}");
    }
}

#[test]
fn one_server_in_the_meta_protocol_keeps_everything_as_it_was() {
    run(1, MemcacheProtocol::Meta);
}

#[test]
fn one_server_in_the_classic_protocol_keeps_everything_as_it_was() {
    run(1, MemcacheProtocol::Ascii);
}

#[test]
fn three_servers_in_the_meta_protocol_keep_everything_as_it_was() {
    run(3, MemcacheProtocol::Meta);
}

#[test]
fn three_servers_in_the_classic_protocol_keep_everything_as_it_was() {
    run(3, MemcacheProtocol::Ascii);
}

#[test]
fn values_are_stored_up_to_what_the_server_takes() {
    let Some(servers) = Memcached::start_many(2) else { return };
    for cache in super::clients(&servers) {
        let largest = (1 << 20) - 200;
        for length in [0, 1, largest, 1 << 20, 3 << 20] {
            let value: Vec<u8> = (0..length).map(|number: usize| (number % 253) as u8).collect();
            cache.set("key", "before", 0).unwrap();
            match cache.set("key", &*value, 0) {
                Ok(()) => {
                    assert!(length <= largest);
                    assert!(cache.get::<Vec<u8>>("key").unwrap() == Some(value));
                }
                Err(error) => {
                    assert!(length > largest && is_too_large(&error), "{error:?}");
                    assert!(cache.get::<String>("key").unwrap().is_none_or(|it| it == "before"));
                }
            }
        }
        assert!(cache.metrics().iter().all(|it| it.failures == 0 && it.connections <= 1));
    }
}

/// As through `memcache::Client`, whose protocol has times of 32 bits without a sign.
#[test]
fn late_expirations_are_late() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    for ours in super::clients(&servers) {
        for expiration in [0, 100, 2_592_001 + 1_900_000_000, i32::MAX as u32, 1 << 31, u32::MAX] {
            theirs.set("theirs", "x", expiration).unwrap();
            ours.set("ours", "x", expiration).unwrap();
            ours.set_many(&[("many", "x")], expiration).remove(0).unwrap();
            ours.set("touched", "x", 10).unwrap();
            assert!(ours.touch("touched", expiration).unwrap());
            for key in ["theirs", "ours", "many", "touched"] {
                let found: Option<String> = ours.get(key).unwrap();
                assert_eq!(found.as_deref(), Some("x"), "{key} with {expiration}");
            }
            ours.flush_with_delay(1 << 31).unwrap();
        }
        assert!(ours.get::<String>("ours").unwrap().is_some());
    }
}
