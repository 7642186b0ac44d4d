//! Requests of one key: as through `memcache::Client`.

use shardwright::MemcacheProtocol;

use super::builder;
use crate::support::memcached::Memcached;

/// What an application does with one key after the other, written once for both clients. Each line is what
/// came of a call.
macro_rules! program {
    ($cache:expr) => {{
        let cache = $cache;
        let mut said: Vec<String> = Vec::new();
        macro_rules! say {
            ($call:expr) => {
                said.push(format!("{}: {:?}", stringify!($call), $call))
            };
        }
        say!(cache.get::<String>("absent"));
        say!(cache.set("text", "hello", 0));
        say!(cache.get::<String>("text"));
        say!(cache.get::<Vec<u8>>("text"));
        say!(cache.get::<(String, u32)>("text"));
        say!(cache.get::<i32>("text").is_err());
        say!(cache.set("number", 41_u64, 100));
        say!(cache.get::<u64>("number"));
        say!(cache.set("truth", true, 0));
        say!(cache.get::<bool>("truth"));
        say!(cache.set("half", 0.5_f64, 0));
        say!(cache.get::<f64>("half"));
        say!(cache.set("bytes", &[0_u8, 13, 10, 255, 32][..], 0));
        say!(cache.get::<Vec<u8>>("bytes"));
        say!(cache.set("nothing", "", 0));
        say!(cache.get::<String>("nothing"));
        say!(cache.set("ключ", "значение", 0));
        say!(cache.get::<String>("ключ"));
        say!(cache.add("new", "1", 0));
        say!(cache.add("new", "2", 0));
        say!(cache.get::<String>("new"));
        say!(cache.replace("new", "3", 0));
        say!(cache.replace("absent", "3", 0));
        say!(cache.get::<String>("new"));
        say!(cache.append("new", "4"));
        say!(cache.prepend("new", "2"));
        say!(cache.get::<String>("new"));
        say!(cache.increment("number", 1));
        say!(cache.increment("number", u64::MAX));
        say!(cache.decrement("number", 1));
        say!(cache.decrement("number", 1000));
        say!(cache.increment("created", 5));
        say!(cache.increment("created", 5));
        say!(cache.decrement("created-too", 5));
        say!(cache.increment("text", 5).is_err());
        say!(cache.touch("text", 100));
        say!(cache.touch("absent", 100));
        say!(cache.delete("text"));
        say!(cache.delete("text"));
        say!(cache.get::<String>("text"));
        let (_, flags, cas) = cache.get::<(Vec<u8>, u32, Option<u64>)>("half").unwrap().unwrap();
        said.push(format!("flags {flags}, cas {}", cas.is_some()));
        let cas = cas.unwrap();
        say!(cache.cas("half", "x", 0, cas + 1000));
        say!(cache.cas("half", "x", 0, cas));
        say!(cache.cas("half", "y", 0, cas));
        say!(cache.get::<String>("half"));
        say!(cache.cas("absent", "y", 0, cas));
        let found = cache.gets::<String>(&["half", "absent", "new", "half"]).unwrap();
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort();
        said.push(format!("{found:?}"));
        say!(
            cache
                .version()
                .map(|all| all.into_iter().map(|(_, version)| version).collect::<Vec<_>>())
        );
        say!(cache.stats().map(|all| all[0].1["version"].clone()));
        say!(cache.flush_with_delay(1000));
        say!(cache.get::<String>("half"));
        say!(cache.flush());
        say!(cache.get::<String>("half"));
        said
    }};
}

#[test]
fn a_program_of_memcache_client_runs_alike() {
    let Some(servers) = Memcached::start_many(3) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    let theirs = program!(&theirs);
    let ours = builder(&servers[1..2]).build().unwrap();
    assert_eq!(program!(&ours), theirs);
    assert_eq!(program!(&builder(&servers[2..]).build().unwrap()), theirs);
}

#[test]
fn both_protocols_do_the_same() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let meta = builder(&servers[..1]).protocol(MemcacheProtocol::Meta).build().unwrap();
    let ascii = builder(&servers[1..]).protocol(MemcacheProtocol::Ascii).build().unwrap();
    let [meta, ascii] = [program!(&meta), program!(&ascii)];
    let differing: Vec<_> = meta.iter().zip(&ascii).filter(|(meta, ascii)| meta != ascii).collect();
    // As in memcache::Client with `protocol=ascii`.
    assert_eq!(differing.len(), 3, "{differing:?}");
    assert!(differing.iter().all(|(meta, _)| meta.contains("crement(\"created")));
    assert!(differing.iter().all(|(_, ascii)| ascii.contains("KeyNotFound")));
}

#[test]
fn an_append_to_nothing_fails_for_a_reason() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    let ours = builder(&servers).build().unwrap();
    let said = |result: Result<(), memcache::MemcacheError>| format!("{:?}", result.unwrap_err());
    // What the crate makes of the same reply of a server, in two places.
    assert_eq!(said(theirs.append("absent", "x")), "CommandError(Unknown(5))");
    theirs.prepend("absent", "x").unwrap();
    assert_eq!(said(ours.append("absent", "x")), "CommandError(KeyNotFound)");
    assert_eq!(said(ours.prepend("absent", "x")), "CommandError(KeyNotFound)");
    assert_eq!(ours.get::<String>("absent").unwrap(), None);
}
