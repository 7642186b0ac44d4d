//! Requests of one key: as through `memcache::Client`.

use shardwright::MemcacheProtocol;

use super::builder;
use super::program::program;
use crate::support::memcached::Memcached;

#[test]
fn a_program_of_memcache_client_runs_alike() {
    let Some(servers) = Memcached::start_many(3) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    let theirs = program!(&theirs;);
    let ours = builder(&servers[1..2]).build().unwrap();
    assert_eq!(program!(&ours;), theirs);
    assert_eq!(program!(&builder(&servers[2..]).build().unwrap();), theirs);
}

#[test]
fn both_protocols_do_the_same() {
    let Some(servers) = Memcached::start_many(2) else { return };
    let meta = builder(&servers[..1]).protocol(MemcacheProtocol::Meta).build().unwrap();
    let ascii = builder(&servers[1..]).protocol(MemcacheProtocol::Ascii).build().unwrap();
    let [meta, ascii] = [program!(&meta;), program!(&ascii;)];
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

#[test]
fn what_the_guide_says_of_other_errors_is_so() {
    let Some(servers) = Memcached::start_many(1) else { return };
    let theirs = memcache::Client::connect(servers[0].url()).unwrap();
    let text = memcache::Client::connect(format!("{}?protocol=ascii", servers[0].url())).unwrap();
    let ours = builder(&servers).build().unwrap();
    let said = |error: memcache::MemcacheError| format!("{error:?}");
    ours.set("text", "x", 0).unwrap();
    assert_eq!(said(theirs.increment("text", 1).unwrap_err()), "CommandError(Unknown(6))");
    let error = said(ours.increment("text", 1).unwrap_err());
    assert!(error.contains("ClientError") && error.contains("non-numeric"), "{error}");
    let large = vec![b'x'; 2 << 20];
    assert_eq!(
        said(theirs.set("large", &large[..], 0).unwrap_err()),
        "CommandError(ValueTooLarge)"
    );
    let error = said(ours.set("large", &large[..], 0).unwrap_err());
    assert!(error.contains("SERVER_ERROR object too large for cache"), "{error}");
    text.add("text", "y", 0).unwrap();
    text.replace("absent", "y", 0).unwrap();
}
