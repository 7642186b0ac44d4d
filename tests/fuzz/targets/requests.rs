//! Requests of every row of the command table.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shardwright::CommandTable;

/// The names of the commands, in an order that stays.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names: Vec<_> = CommandTable::new().names().collect();
    names.sort();
    names
});

/// What readers of options look for, and keys with a hash tag.
const WORDS: &str = "STORE STOREDIST STREAMS GROUP BLOCK COUNT CLAIM NOACK LIMIT BY GET KEYS AUTH AUTH2 \
                     GROUPBY RESET LIB-NAME LIB-VER {a}1 {a}2 {b}1 {a}* * # 0 1 2 -1";

#[derive(Arbitrary, Debug)]
struct Request {
    name: u16,
    arguments: Vec<Argument>,
    nodes: u8,
}

#[derive(Arbitrary, Debug)]
enum Argument {
    Word(u8),
    Other(Vec<u8>),
}

fuzz_target!(|request: Request| {
    let name = &NAMES[usize::from(request.name) % NAMES.len()];
    let mut args: Vec<&[u8]> = name.split(' ').map(str::as_bytes).collect();
    args.extend(request.arguments.iter().map(|argument| match argument {
        Argument::Word(word) => {
            let count = WORDS.split(' ').count();
            let word = WORDS.split(' ').nth(usize::from(*word) % count);
            word.unwrap_or_default().as_bytes()
        }
        Argument::Other(bytes) => bytes,
    }));
    shardwright::fuzz::requests(&args, 1 + usize::from(request.nodes % 5));
});
