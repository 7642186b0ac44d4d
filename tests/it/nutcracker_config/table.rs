//! Configurations and what becomes of them.

use Verdict::Bad;
use Verdict::BadForThem;
use Verdict::BadForUs;
use Verdict::BadInOtherWords;
use Verdict::BadWithoutReason;
use Verdict::Good;

use super::ours;

/// What becomes of a configuration. Our reasons are complete, with the place in front; nutcracker's
/// are what it logs, less `conf: ` and the name of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// Both accept it.
    Good,
    /// Both refuse it in the same words; behind a colon we may say more.
    Bad(&'static str),
    /// Both refuse it, and only we say why.
    BadWithoutReason(&'static str),
    /// Both refuse it: our words, and theirs.
    BadInOtherWords(&'static str, &'static str),
    /// A deviation on purpose: they accept it and go on with nonsense.
    BadForUs(&'static str),
    /// A deviation on purpose: they refuse it, with these words.
    BadForThem(&'static str),
}

pub(crate) fn rows() -> Vec<(String, Verdict)> {
    let files = STRUCTURE.iter().chain(YAML).chain(POOLS);
    let files = files.map(|(text, verdict)| ((*text).to_owned(), *verdict));
    let lines = DIRECTIVES.iter().chain(ours::DIRECTIVES);
    let lines = lines.map(|(line, verdict)| (with_line(line), *verdict));
    let listens = LISTENS.iter().map(|(value, verdict)| (with_listen(value), *verdict));
    let servers = SERVERS.iter().chain(ours::SERVERS);
    let servers = servers.map(|(line, verdict)| (with_server(line), *verdict));
    files.chain(lines).chain(listens).chain(servers).collect()
}

/// A file that is good but for its third line.
fn with_line(line: &str) -> String {
    format!("p:\n  listen: 127.0.0.1:1\n  {line}\n  servers:\n   - a:1:1\n")
}

/// A file that is good but for its second line.
fn with_listen(value: &str) -> String {
    format!("p:\n  listen: {value}\n  servers:\n   - a:1:1\n")
}

/// A file that is good but for its fifth line.
fn with_server(line: &str) -> String {
    format!("p:\n  listen: 127.0.0.1:1\n  servers:\n   - z:1:1\n   - {line}\n")
}

pub(super) type Rows = &'static [(&'static str, Verdict)];

const STRUCTURE: Rows = &[
    ("", Bad("line 1, column 1: must contain only 1 document; found 0 documents")),
    ("# no pool\n", Bad("line 2, column 1: must contain only 1 document; found 0 documents")),
    ("p:\n---\nq:\n", Bad("line 4, column 1: must contain only 1 document; found 2 documents")),
    ("---\np:\n", Bad("line 1, column 1: document start token (5) is disallowed")),
    ("p:\n...\n", Bad("line 2, column 1: document end token (6) is disallowed")),
    ("%YAML 1.1\n---\np:\n", Bad("line 1, column 1: version directive token (3) is disallowed")),
    ("%TAG ! x:\n---\np:\n", Bad("line 1, column 1: tag directive token (4) is disallowed")),
    ("p: [a]\n", Bad("line 1, column 4: flow sequence start token (10) is disallowed")),
    ("{p: q}\n", Bad("line 1, column 1: flow mapping start token (12) is disallowed")),
    ("p: &x y\n", Bad("line 1, column 4: anchor token (19) is disallowed")),
    ("p: &x y\nq: *x\n", Bad("line 1, column 4: anchor token (19) is disallowed")),
    ("p: !!str y\n", Bad("line 1, column 4: tag token (20) is disallowed")),
    // The reason is that of a substitute; it only has to be refused.
    (
        "p: [!a,b]\n",
        BadInOtherWords(
            "line 1, column 9: failed (err 3) to get the next yaml document: \
             did not find expected whitespace or line break",
            "flow sequence start token (10) is disallowed",
        ),
    ),
    ("x\n", Bad("line 1, column 1: has invalid empty \"key:\" at depth 0")),
    ("- x\n", Bad("line 1, column 1: has sequence at depth 0 instead of 2")),
    ("p: x\n", Bad("line 1, column 4: has invalid mapping \"key:\" at depth 1")),
    ("p:\n", Bad("line 1, column 3: has invalid mapping \"key:\" at depth 1")),
    ("p:\n - x\n", Bad("line 2, column 2: has sequence at depth 1 instead of 2")),
    ("? - x\n: p\n", Bad("line 1, column 3: has sequence at depth 1 instead of 2")),
    ("? a: b\n: p\n", Bad("line 1, column 3: has more than one \"key:value\" at depth 1")),
    ("p:\n  a:\n    b: c\n", Bad("line 3, column 5: has a depth greater than 2")),
    ("p:\n  a:\n   - b: c\n", Bad("line 3, column 6: has a depth greater than 2")),
    ("p:\n  a:\n   - - b\n", Bad("line 3, column 6: has more than one sequence directive")),
    ("p:\n  ? - a\n  : b\n", Bad("line 2, column 5: has invalid \"key:value\" at depth 2")),
    (
        "q:\n  a:\n   - b\np:\n  a: b\n",
        Bad("line 4, column 1: missing sequence directive at depth 2"),
    ),
    ("p:\n  servers:\n", Bad("line 1, column 1: missing sequence directive at depth 2")),
    (
        "p:\n  a:\n   - b\n  c:\n   - d\n",
        Bad("line 5, column 4: has more than one sequence directive"),
    ),
];

const YAML: Rows = &[
    (
        "p:\n  a: \u{7}\n",
        Bad("line 2, column 6: failed (err 2) to get the next yaml document: \
             control characters are not allowed"),
    ),
    (
        "p:\n\tlisten: x\n",
        Bad("line 2, column 1: failed (err 3) to get the next yaml document: \
             found character that cannot start any token"),
    ),
    (
        "p: y: z\n",
        Bad("line 1, column 5: failed (err 3) to get the next yaml document: \
             mapping values are not allowed in this context"),
    ),
    (
        "p: \"x\\",
        Bad("line 2, column 1: failed (err 3) to get the next yaml document: \
             found unexpected end of stream"),
    ),
    (
        "p: [\n",
        Bad("line 2, column 1: failed (err 4) to get the next yaml document: \
             did not find expected node content"),
    ),
    (
        "p: *x\n",
        Bad("line 1, column 4: failed (err 5) to get the next yaml document: \
             found undefined alias"),
    ),
    (
        "a: &x b\nc: &x d\n",
        Bad("line 2, column 4: failed (err 5) to get the next yaml document: \
             found duplicate anchor"),
    ),
    // A file that cannot be read to its end is refused for that first.
    (
        "--- x\np: [\n",
        Bad("line 2, column 2: failed (err 3) to get the next yaml document: \
             mapping values are not allowed in this context"),
    ),
    ("\u{feff}p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n", Good),
    ("\u{ff50}:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n", Good),
    ("p:\r\n  listen: 127.0.0.1:1\r\n  servers:\r\n   - a:1:1\r\n", Good),
    ("p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1", Good),
    ("? p\n:\n  ? \"listen\"\n  : '127.0.0.1:1' # x\n  servers:\n  - >-\n    a:1:1\n", Good),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - >\n     a:1:1",
        BadForUs(
            "line 4, column 6: the value of directive \"servers\" \
             is a block scalar without a line break at its end",
        ),
    ),
];

const POOLS: Rows = &[
    // It does not matter which directive is the list.
    ("p:\n  servers: a:1:1\n  listen:\n   - 127.0.0.1:1\n", Good),
    ("p:\n  listen: 127.0.0.1:1\n  servers: a:1:1\n  servers: b:1:1\n  timeout:\n   - 4\n", Good),
    (
        "p:\n  servers: a:1:1\n  listen:\n   - 127.0.0.1:1\n   - 127.0.0.1:2\n",
        Bad("line 5, column 6: directive \"listen\" is a duplicate"),
    ),
    ("p:\n  listen:\n   - 127.0.0.1:1\n", Bad("line 1, column 1: pool 'p' has no servers")),
    ("p:\n  servers:\n   - a:1:1\n", Bad("line 1, column 1: directive \"listen:\" is missing")),
    (
        "p:\n  listen: 127.0.0.1:1\n  server_connections: 0\n  redis_auth: x\n  a:\n   - b\n",
        Bad("line 5, column 3: directive \"a\" is unknown"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  server_connections: 0\n  redis_auth: x\n  servers:\n   - a:1:1\n",
        Bad("line 1, column 1: directive \"server_connections:\" cannot be 0"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  redis_auth: x\n  servers:\n   - a:1:1\n   - a:1:1\n",
        Bad("line 1, column 1: directive \"redis_auth:\" is only valid for a redis pool"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - bb:1:1\n   - a:1:1\n   - bb:1:1\n   - a:1:2\n",
        Bad("line 7, column 6: pool 'p' has servers with same name 'a:1'"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1 x:1\n   - x:1:1\n",
        Bad("line 5, column 6: pool 'p' has servers with same name 'x:1'"),
    ),
    (
        "zz:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n\
         q:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n",
        Bad("line 5, column 1: pools 'zz' and 'q' have the same listen address '127.0.0.1:1'"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n\
         q:\n  listen: 127.0.0.1:01\n  servers:\n   - a:1:1\n",
        Good,
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n\
         p:\n  listen: 127.0.0.1:2\n  servers:\n   - a:1:1\n",
        Bad("line 5, column 1: has pools with same name p'"),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:2147483647\n   - b:1:2147483647\n   - c:1:2\n",
        BadForUs(
            "line 1, column 1: pool 'p': the weights sum up to 4294967296, \
             more than the 4294967295 that are possible",
        ),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n  sentinels:\n   - a:1:1\n",
        BadInOtherWords(
            "line 6, column 4: directive \"sentinels\" is not supported yet",
            "has more than one sequence directive",
        ),
    ),
    (
        "p:\n  listen: 127.0.0.1:1\n  sentinels:\n   - a:1:1\n  servers: a:1:1\n",
        BadInOtherWords(
            "line 4, column 6: directive \"sentinels\" is not supported yet",
            "directive \"sentinels\" is unknown",
        ),
    ),
    (
        "\"\":\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n",
        BadWithoutReason("line 1, column 1: the name of a pool is empty"),
    ),
];

const DIRECTIVES: Rows = &[
    ("foo: x", Bad("line 3, column 3: directive \"foo\" is unknown")),
    ("<<: x", Bad("line 3, column 3: directive \"<<\" is unknown")),
    ("Timeout: 1", Bad("line 3, column 3: directive \"Timeout\" is unknown")),
    ("\"\": x", BadWithoutReason("line 3, column 3: the name of a directive is empty")),
    (
        "timeout:",
        BadWithoutReason("line 3, column 11: the value of directive \"timeout\" is empty"),
    ),
    (
        "hash_tag: \"\"",
        BadWithoutReason("line 3, column 13: the value of directive \"hash_tag\" is empty"),
    ),
    (
        "hash_tag: \"a\\0\"",
        BadForUs("line 3, column 13: the value of directive \"hash_tag\" contains a NUL character"),
    ),
    ("listen: 127.0.0.1:2", Bad("line 3, column 11: directive \"listen\" is a duplicate")),
    ("hash: md5\n  hash: md5", Bad("line 4, column 9: directive \"hash\" is a duplicate")),
    (
        "hash_tag: ab\n  hash_tag: ab",
        Bad("line 4, column 13: directive \"hash_tag\" is a duplicate"),
    ),
    (
        "distribution: modula\n  distribution: x",
        Bad("line 4, column 17: directive \"distribution\" is a duplicate"),
    ),
    ("timeout: 1\n  timeout: x", Bad("line 4, column 12: directive \"timeout\" is a duplicate")),
    ("redis: true\n  redis: x", Bad("line 4, column 10: directive \"redis\" is a duplicate")),
    (
        "redis_auth: a\n  redis_auth: b",
        Bad("line 4, column 15: directive \"redis_auth\" is a duplicate"),
    ),
    ("hash: one_at_a_time", Good),
    ("hash: md5", Good),
    ("hash: crc16", Good),
    ("hash: crc32", Good),
    ("hash: crc32a", Good),
    ("hash: fnv1_64", Good),
    ("hash: fnv1a_64", Good),
    ("hash: fnv1_32", Good),
    ("hash: fnv1a_32", Good),
    ("hash: hsieh", Good),
    ("hash: murmur", Good),
    ("hash: jenkins", Good),
    ("hash: MD5", Bad("line 3, column 9: directive \"hash\" is not a valid hash")),
    ("hash: sha1", Bad("line 3, column 9: directive \"hash\" is not a valid hash")),
    ("hash_tag: \"{}\"", Good),
    ("hash_tag: \"  \"", Good),
    ("hash_tag: é", Good),
    ("hash_tag: $$", Good),
    ("hash_tag: {}", Bad("line 3, column 13: flow mapping start token (12) is disallowed")),
    (
        "hash_tag: a",
        Bad("line 3, column 13: directive \"hash_tag\" \
             is not a valid hash tag string with two characters"),
    ),
    (
        "hash_tag: abc",
        Bad("line 3, column 13: directive \"hash_tag\" \
             is not a valid hash tag string with two characters"),
    ),
    ("distribution: ketama", Good),
    ("distribution: modula", Good),
    ("distribution: random", Good),
    (
        "distribution: rendezvous",
        Bad("line 3, column 17: directive \"distribution\" is not a valid distribution"),
    ),
    ("timeout: 0", Good),
    ("timeout: 010", Good),
    ("timeout: \"400\"", Good),
    ("timeout: 2147483647", Good),
    ("timeout: -1", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    ("timeout: +1", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    ("timeout: abc", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    ("timeout: 1.5", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    ("timeout: 1k", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    ("timeout: \"1 \"", Bad("line 3, column 12: directive \"timeout\" is not a number")),
    (
        "timeout: 2147483648",
        Bad("line 3, column 12: directive \"timeout\" is not a number: the largest is 2147483647"),
    ),
    (
        "timeout: 4294967297",
        BadForUs(
            "line 3, column 12: directive \"timeout\" is not a number: the largest is 2147483647",
        ),
    ),
    (
        "timeout: 99999999999",
        BadForUs(
            "line 3, column 12: directive \"timeout\" is not a number: the largest is 2147483647",
        ),
    ),
    ("backlog: x", Bad("line 3, column 12: directive \"backlog\" is not a number")),
    (
        "client_connections: x",
        Bad("line 3, column 23: directive \"client_connections\" is not a number"),
    ),
    ("redis_db: x", Bad("line 3, column 13: directive \"redis_db\" is not a number")),
    (
        "server_connections: x",
        Bad("line 3, column 23: directive \"server_connections\" is not a number"),
    ),
    (
        "server_retry_timeout: x",
        Bad("line 3, column 25: directive \"server_retry_timeout\" is not a number"),
    ),
    (
        "server_failure_limit: x",
        Bad("line 3, column 25: directive \"server_failure_limit\" is not a number"),
    ),
    ("backlog: 0", Good),
    ("client_connections: 0", Good),
    ("redis_db: 15", Good),
    ("server_connections: 8", Good),
    ("server_retry_timeout: 0", Good),
    ("server_failure_limit: 0", Good),
    ("redis: true", Good),
    ("redis: 'false'", Good),
    ("redis: True", Bad("line 3, column 10: directive \"redis\" is not \"true\" or \"false\"")),
    ("redis: yes", Bad("line 3, column 10: directive \"redis\" is not \"true\" or \"false\"")),
    (
        "preconnect: 1",
        Bad("line 3, column 15: directive \"preconnect\" is not \"true\" or \"false\""),
    ),
    (
        "tcpkeepalive: on",
        Bad("line 3, column 17: directive \"tcpkeepalive\" is not \"true\" or \"false\""),
    ),
    (
        "auto_eject_hosts: x",
        Bad("line 3, column 21: directive \"auto_eject_hosts\" is not \"true\" or \"false\""),
    ),
    ("preconnect: true", Good),
    ("tcpkeepalive: true", Good),
    ("auto_eject_hosts: true", Good),
    ("redis: true\n  redis_auth: x y", Good),
    (
        "redis: false\n  redis_auth: x",
        Bad("line 1, column 1: directive \"redis_auth:\" is only valid for a redis pool"),
    ),
    ("reuseport: true", BadForThem("directive \"reuseport\" is unknown")),
];

const INVALID_PORT: Verdict = Bad("line 2, column 11: directive \"listen\" \
     has an invalid port in \"hostname:port\" format string");
const INVALID_MODE: Verdict = Bad("line 2, column 11: directive \"listen\" \
     has an invalid file permission in \"socket_path permission\" format string");
const INVALID_VALUE: Verdict = Bad("line 2, column 11: directive \"listen\" has an invalid value");

const LISTENS: Rows = &[
    ("0.0.0.0:22121", Good),
    ("localhost:22121", Good),
    ("127.0.0.1:65535", Good),
    ("127.0.0.1:0022121", Good),
    ("\"::1:22121\"", Good),
    ("\":::22121\"", Good),
    ("\"[::1]:22121\"", BadForThem("directive \"listen\" has an invalid value")),
    ("nohost.invalid:22121", BadForThem("directive \"listen\" has an invalid value")),
    (
        "127.0.0.1",
        Bad("line 2, column 11: directive \"listen\" \
             has an invalid \"hostname:port\" format string"),
    ),
    ("\"127.0.0.1:\"", INVALID_PORT),
    ("127.0.0.1:0", INVALID_PORT),
    ("127.0.0.1:65536", INVALID_PORT),
    ("127.0.0.1:x", INVALID_PORT),
    ("127.0.0.1:-1", INVALID_PORT),
    ("127.0.0.1:2147483648", INVALID_PORT),
    (
        "127.0.0.1:4294967297",
        BadForUs(
            "line 2, column 11: directive \"listen\" \
             has an invalid port in \"hostname:port\" format string",
        ),
    ),
    ("\":22121\"", INVALID_VALUE),
    ("\" 127.0.0.1:22121\"", INVALID_VALUE),
    ("/run/a.sock", Good),
    ("/run/a.sock 0660", Good),
    ("/run/a b 755", Good),
    ("/run/a.sock abc", Good),
    ("/run/a.sock 999", Good),
    ("/run/a.sock 1000", INVALID_MODE),
    ("/run/a.sock -1", INVALID_MODE),
    (
        "/56789012345678901234567890123456789012345678901234567890\
         /567890123456789012345678901234567890123456789012345678",
        INVALID_VALUE,
    ),
];

const INVALID_SERVER: Verdict = Bad("line 5, column 6: directive \"servers\" has an invalid \
     \"hostname:port:weight [name]\"or \"/path/unix_socket:weight [name]\" format string");
const INVALID_WEIGHT: Verdict = Bad("line 5, column 6: directive \"servers\" \
     has an invalid weight in \"hostname:port:weight [name]\" format string");
const ZERO_WEIGHT: Verdict = Bad("line 5, column 6: directive \"servers\" \
     has a zero weight in \"hostname:port:weight [name]\" format string");
const INVALID_SERVER_PORT: Verdict = Bad("line 5, column 6: directive \"servers\" \
     has an invalid port in \"hostname:port:weight [name]\" format string");

const SERVERS: Rows = &[
    ("127.0.0.1:6379:1", Good),
    ("127.0.0.1:6379:1 name", Good),
    ("127.0.0.1:11211:7 na:me", Good),
    ("nohost.invalid:1:1", Good),
    ("é:1:1 ü", Good),
    ("a:01:01", Good),
    ("\"::1:6379:1\"", Good),
    ("\"[::1]:6379:1\"", Good),
    ("/run/a.sock:1", Good),
    ("/run/a.sock:2 name", Good),
    ("a:1:2147483647", Good),
    ("", BadWithoutReason("line 5, column 5: the value of directive \"servers\" is empty")),
    ("a", INVALID_SERVER),
    ("a:1", INVALID_SERVER),
    ("/run/a.sock", INVALID_SERVER),
    ("/run/a:b:1", INVALID_SERVER),
    ("\"a b:1:1\"", INVALID_SERVER),
    ("\" a:1:1\"", INVALID_SERVER),
    ("\"a:1:\"", INVALID_WEIGHT),
    ("a:1:x", INVALID_WEIGHT),
    ("a:1:-1", INVALID_WEIGHT),
    ("a:x:y", INVALID_WEIGHT),
    ("a:1:1 my name", INVALID_WEIGHT),
    ("a:1:1  name", INVALID_WEIGHT),
    ("\"a:1:1\\tname\"", INVALID_WEIGHT),
    ("a:1:2147483648", INVALID_WEIGHT),
    ("a:1:0", ZERO_WEIGHT),
    ("a:x:0", ZERO_WEIGHT),
    ("a:0:1", INVALID_SERVER_PORT),
    ("a:65536:1", INVALID_SERVER_PORT),
    ("a:x:1", INVALID_SERVER_PORT),
    ("a::1", INVALID_SERVER_PORT),
    (
        "a:1:4294967297",
        BadForUs(
            "line 5, column 6: directive \"servers\" \
             has an invalid weight in \"hostname:port:weight [name]\" format string",
        ),
    ),
    (
        "a:4294967297:1",
        BadForUs(
            "line 5, column 6: directive \"servers\" \
             has an invalid port in \"hostname:port:weight [name]\" format string",
        ),
    ),
    (
        "\":1:1\"",
        BadForUs(
            "line 5, column 6: directive \"servers\" \
             has an empty host in \"hostname:port:weight [name]\" format string",
        ),
    ),
    (
        "\"a:1:1 \"",
        BadForUs(
            "line 5, column 6: directive \"servers\" \
             has an empty name in \"hostname:port:weight [name]\" format string",
        ),
    ),
];
