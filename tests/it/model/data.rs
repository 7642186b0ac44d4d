//! What is stored on servers.

use std::collections::BTreeMap;

use redis::Connection;
use redis::Value;

use super::reply::Circumstances;
use super::reply::differs;
use super::step::Args;
use super::step::args;
use super::step::ask;
use super::step::line;
use super::step::packed;

/// Databases that steps use.
pub const DATABASES: i64 = 3;

/// All keys, by database and name.
pub type Data = BTreeMap<(i64, Vec<u8>), Entry>;

/// Questions about a key, and what a server replies to them.
type Facts = Vec<(Args, Value)>;

/// What is stored under a key, as far as it can be compared.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which of the servers has it.
    server: usize,
    /// Type, encoding, time of expiry, digest of the value; of a stream its groups too.
    facts: Facts,
}

impl Entry {
    pub fn server(&self) -> usize {
        self.server
    }
}

/// What all of `servers` store together.
///
/// # Errors
///
/// If two of them have the same key.
pub fn data(servers: &mut [Connection]) -> Result<Data, String> {
    let mut all = Data::new();
    for (server, connection) in servers.iter_mut().enumerate() {
        for database in 0..DATABASES {
            for (key, facts) in stored(connection, database) {
                let entry = Entry { server, facts };
                if let Some(other) = all.insert((database, key.clone()), entry) {
                    let key = line(&[key]);
                    let both = format!("nodes {} and {server}", other.server);
                    return Err(format!("{key} of database {database} is on two nodes: {both}"));
                }
            }
        }
    }
    Ok(all)
}

fn stored(connection: &mut Connection, database: i64) -> Vec<(Vec<u8>, Facts)> {
    let select = args(&format!("SELECT {database}"));
    let reply = all(connection, &[select, args("KEYS *")]).pop().expect("KEYS has a reply");
    let keys: Vec<Vec<u8>> = redis::from_redis_value(reply).expect("keys are strings");
    let questions: Vec<Args> = keys.iter().flat_map(|key| questions(key)).collect();
    let mut answers = questions.clone().into_iter().zip(all(connection, &questions));
    let stored = keys.into_iter().map(|key| {
        let count = self::questions(&key).len();
        (key, answers.by_ref().take(count).collect())
    });
    stored.collect()
}

fn questions(key: &[u8]) -> Vec<Args> {
    let about = |question: &str, rest: &str| {
        let mut question = args(question);
        question.push(key.to_vec());
        question.extend(rest.split_terminator(' ').map(|word| word.as_bytes().to_vec()));
        question
    };
    vec![
        about("TYPE", ""),
        about("OBJECT ENCODING", ""),
        about("PEXPIRETIME", ""),
        about("DEBUG DIGEST-VALUE", ""),
        about("XINFO STREAM", "FULL"),
    ]
}

fn all(connection: &mut Connection, commands: &[Args]) -> Vec<Value> {
    use redis::ConnectionLike;
    let bytes: Vec<_> = commands.iter().flat_map(|args| packed(args)).collect();
    match commands.len() {
        0 => Vec::new(),
        count => connection.req_packed_commands(&bytes, 0, count).expect("the server is there"),
    }
}

const ALONE: Circumstances = Circumstances { nodes: 1, is_ordered: true };

/// The first difference between what is stored on the pool and on the big server.
pub fn difference(ours: &Data, theirs: &Data) -> Option<String> {
    let show = |(database, key): &(i64, Vec<u8>)| {
        format!("{} of database {database}", line(std::slice::from_ref(key)))
    };
    for key in theirs.keys() {
        if !ours.contains_key(key) {
            return Some(format!("{} is not in the pool", show(key)));
        }
    }
    for (key, entry) in ours {
        let Some(other) = theirs.get(key) else {
            return Some(format!("{} is in the pool only", show(key)));
        };
        for ((question, one), (_, other)) in entry.facts.iter().zip(&other.facts) {
            if let Some(difference) = differs(question, one, other, ALONE) {
                let question = line(question);
                return Some(format!("{}: {question}\n      {difference}", show(key)));
            }
        }
    }
    None
}

/// A number for all that a server stores in its first database: that of several servers is the
/// exclusive or of theirs.
///
/// Redis computes it for all databases, in a way that is an exclusive or only while the others are
/// empty (7.0 `debug.c` `computeDatasetDigest`): of the keys' digests, and of that of the database's
/// number if it is not empty.
pub fn digest(connection: &mut Connection) -> Vec<u8> {
    let reply = ask(connection, &args("DEBUG DIGEST")).expect("the server is there");
    let text: String = redis::from_redis_value(reply).expect("a digest is text");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    let mut digest: Vec<u8> = (0..text.len()).step_by(2).map(digit).collect();
    if digest.iter().any(|byte| *byte != 0) {
        // SHA-1 of SHA-1 of the number of database 0, which has four bytes.
        for (byte, other) in digest.iter_mut().zip(FIRST_DATABASE) {
            *byte ^= other;
        }
    }
    digest
}

const FIRST_DATABASE: [u8; 20] = [
    0xaa, 0x30, 0x98, 0xf3, 0xaa, 0xe9, 0x4b, 0xaa, 0xc1, 0x4e, 0x3b, 0x8b, 0x8d, 0xca, 0xe9, 0x89,
    0xaf, 0x93, 0xf6, 0xa2,
];
