//! Configurations made from good ones by small changes, the same ones in every run.

const SEEDS: [&str; 3] = [
    r#"alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  hash_tag: "{}"
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  redis_auth: secret
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1 server1
   - 127.0.0.1:6380:1 server2
"#,
    r#"# two pools
"beta":
  listen: /tmp/b.sock 0666   # a comment
  timeout: 400
  hash: 'murmur'
  servers:
  - "::1:11211:1"
  - /run/x.sock:2 name

gamma:
  listen: localhost:21001
  client_connections: 100
  server_connections: 2
  servers:
    - a:1:1
    - >-
      b:2:2
"#,
    "p:\n  listen: 127.0.0.1:1\n  servers:\n   - a:1:1\n",
];

/// Lines of a pool, good and bad.
const LINES: [&str; 36] = [
    "  # a comment",
    "",
    "  listen: 127.0.0.1:9",
    "  timeout: 7",
    "  timeout: 1e3",
    "  timeout:",
    "  backlog: 512",
    "  backlog: -1",
    "  redis: false",
    "  redis: True",
    "  redis_auth: \"x y\"",
    "  redis_db: 3",
    "  hash: md5",
    "  hash: sha1",
    "  hash_tag: $$",
    "  hash_tag: abc",
    "  hash_tag: {}",
    "  distribution: modula",
    "  distribution: jump",
    "  preconnect: true",
    "  tcpkeepalive: 'true'",
    "  reuseport: true",
    "  client_connections: 0",
    "  server_connections: 0",
    "  server_connections: 07",
    "  server_failure_limit: 3",
    "  server_retry_timeout: \"3\"",
    "  ? auto_eject_hosts\n  : false",
    "  unknown: x",
    "  - e:5:5",
    "   - d:4:4",
    "   - d:4:4 server1",
    "   - \"::2:4:4 n\"",
    "   - /x.sock:9",
    "   - d:4:0",
    "   -",
];

/// Values, good and bad.
const VALUES: [&str; 28] = [
    "0",
    "1",
    "12345",
    "2147483647",
    "2147483648",
    "true",
    "false",
    "\"\"",
    "ketama",
    "random",
    "crc32a",
    "ab",
    "\"a\\tb\"",
    "\"a\\0\"",
    "a b",
    "x:1",
    "x:1:1",
    "x:1:1 y",
    "x:1:1 y z",
    "/y 777",
    "/y 1777",
    "/y:1",
    "|\n    5",
    ">-\n    true",
    "~",
    "[]",
    "127.0.0.1:22121",
    "127.0.0.1:0",
];

/// Pieces of YAML.
const PIECES: [&str; 47] = [
    "\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "-",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "&a ",
    "*a",
    "!a ",
    "!",
    "%YAML 1.1\n",
    "%",
    "---\n",
    "\n---\n",
    "\n...\n",
    "|\n",
    ">-\n",
    ">\n",
    "|2\n",
    "'",
    "\"",
    "\\",
    "\\0",
    "\\x41",
    "\\u00e9",
    "\\q",
    "é",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\r",
    "\r\n",
    "@",
    "`",
    "\u{7}",
    "0",
    "x",
];

/// `count` of them.
pub(super) fn texts(count: usize) -> impl Iterator<Item = String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..count).map(move |_| {
        let mut text = random.one_of(&SEEDS).to_owned();
        for _ in 0..random.one_of(&[1, 1, 1, 2, 3, 5]) {
            text = if random.below(3) > 0 {
                with_other_lines(&text, &mut random)
            } else {
                with_other_characters(&text, &mut random)
            };
        }
        text
    })
}

fn with_other_lines(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = random.below(lines.len() + 1);
    let value = lines.get(at).and_then(|line| line.split_once(": "));
    match (random.below(5), value) {
        (0, _) if at < lines.len() => {
            lines.remove(at);
        }
        (1 | 2, Some((key, _))) => lines[at] = format!("{key}: {}", random.one_of(&VALUES)),
        (3, _) if !lines.is_empty() => {
            let line = lines[random.below(lines.len())].clone();
            lines.insert(at, line);
        }
        _ => lines.insert(at, random.one_of(&LINES).to_owned()),
    }
    let end = if random.below(9) == 0 { "" } else { "\n" };
    lines.join("\n") + end
}

fn with_other_characters(text: &str, random: &mut Random) -> String {
    let mut text: Vec<char> = text.chars().collect();
    let begin = random.below(text.len() + 1);
    let end = (begin + random.one_of(&[0, 0, 1, 2, 20])).min(text.len());
    let new = if random.below(4) == 0 { "" } else { random.one_of(&PIECES) };
    text.splice(begin..end, new.chars());
    text.into_iter().collect()
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
