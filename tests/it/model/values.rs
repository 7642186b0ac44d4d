//! What stands in the place of keys and arguments.

use super::grammar::Source;
use super::grammar::Type;
use super::random::Random;

/// An argument that begins with this is the dump of the key behind it, as it is when the step begins.
pub const DUMP: &[u8] = b"\x01the dump of ";

/// Keys that a careless reader stumbles over.
const ODD_KEYS: &[&[u8]] = &[
    b"",
    b"\0\xff\r\n",
    b"\x80\x81\xfe",
    b"{}",
    b"{}{t}1",
    b"{t",
    b"t}",
    b"{{t}}",
    b"$$$",
    b"<<t>",
    b"*",
    b"#",
    b"0",
    b"STORE",
    b"STREAMS",
    b"KEYS",
    b"*3\r\n$3\r\nDEL\r\n",
    b"a key with spaces",
    b"a key so long that no one would write it down, and longer than what a short string holds",
];

const SCRIPTS: &[(&str, &str)] = &[
    ("set", "return redis.call('SET', KEYS[1], ARGV[1])"),
    ("get", "return redis.call('GET', KEYS[1])"),
    ("incr", "for i = 1, #KEYS do redis.call('INCR', KEYS[i]) end return #KEYS"),
    ("keys", "return {KEYS, ARGV, 1.9, false, true, {ok = 'FINE'}, {1, {2}}}"),
    ("push", "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[2])"),
    ("one", "return {1, ARGV[1]}"),
    ("status", "return redis.status_reply('FINE')"),
    ("fails", "redis.call('SET', KEYS[1], 'before') return redis.call('LPUSH', KEYS[1], 'x')"),
    ("types", "return {redis.call('TYPE', KEYS[1]), redis.call('EXISTS', KEYS[1])}"),
    ("broken", "this is not Lua"),
];

/// Scripts that are loaded before they are run, and no others: those the nodes know alike.
const LOADED: &[(&str, &str)] = &[
    ("return redis.call('APPEND', KEYS[1], ARGV[1])", "68014bf0cbd405594c3f62158602855af28788cb"),
    (
        "return {KEYS[1], ARGV[1], redis.call('STRLEN', KEYS[1])}",
        "9c7f6cc3e9bfa5080db194ed2d8a47ae4f04dfc6",
    ),
];

const LIBRARIES: &[&str] = &[
    "#!lua name=lib1\n\
     redis.register_function('f1', function(keys, args) \
     return redis.call('SET', keys[1], args[1]) end)",
    "#!lua name=lib2\n\
     redis.register_function('f2', function(keys, args) return {keys, args} end)\n\
     redis.register_function{function_name = 'r1', flags = {'no-writes'}, \
     callback = function(keys) return redis.call('STRLEN', keys[1]) end}",
    "#!lua name=lib2\nredis.register_function('f1', function() return 1 end)",
];

const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-7",
    b"12",
    b"3.5",
    b"+1",
    b"007",
    b"9223372036854775807",
    b"a",
    b"value",
    b"OK",
    b"nil",
    b"\r\n",
    b"\0\xff\x80",
    b"NX",
    b"$-1\r\n",
];

/// Makes arguments; what it makes depends on its seed alone.
pub struct Maker {
    random: Random,
    /// The two bytes around hash tags. Keys have them whether the pool looks at them or not.
    tag: (u8, u8),
    /// What stands between them in the keys of the command that is being made.
    home: Option<u8>,
    /// Whether keys of that command may be no text.
    has_binary_keys: bool,
    last_id: u64,
}

impl Maker {
    pub fn new(seed: u64, tag: (u8, u8)) -> Self {
        Self { random: Random::new(seed), tag, home: None, has_binary_keys: true, last_id: 0 }
    }

    /// Says whether the keys of the next command may be no text: redis-rs gives a connection up over an
    /// error that is not, and some errors name a key.
    pub fn allow_binary_keys(&mut self, allow: bool) {
        self.has_binary_keys = allow;
    }

    /// Begins a command whose keys differ in their hash tags in `percent` of a hundred cases; otherwise
    /// it can be carried out.
    pub fn begin(&mut self, percent: usize) {
        let is_free = self.random.chance(percent);
        self.home = (!is_free).then(|| *self.random.pick(b"tu"));
    }

    /// Begins a command whose keys have the hash tag `home`.
    pub fn stay(&mut self, home: u8) {
        self.home = Some(home);
    }

    fn typed_key(&mut self, kind: Type) -> Vec<u8> {
        let letter = match Type::ALL.iter().find(|(_, other)| *other == kind) {
            _ if kind == Type::Lexical => 'e',
            Some((letter, _)) if !self.random.chance(8) => *letter,
            _ => self.random.pick(&Type::ALL).0,
        };
        let number = self.random.below(3);
        let name = format!("{letter}{number}").into_bytes();
        let home = match self.home {
            Some(home) => Some(home),
            None => *self.random.pick(&[None, None, Some(b't'), Some(b'u')]),
        };
        let Some(home) = home else {
            return name;
        };
        let tagged = [self.tag.0, home, self.tag.1];
        if number == 2 { [&name, &tagged[..]].concat() } else { [&tagged[..], &name].concat() }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.random.below(if self.random.clone().chance(20) { 200 } else { 12 });
        (0..length).map(|_| self.random.next() as u8).collect()
    }

    fn id(&mut self) -> Vec<u8> {
        if self.random.chance(70) {
            self.last_id += 1;
            return format!("{}-{}", self.last_id / 3, self.last_id % 3).into_bytes();
        }
        format!("{}-{}", self.random.below(30), self.random.below(3)).into_bytes()
    }

    fn number(&mut self, low: i64, high: i64) -> Vec<u8> {
        let span = usize::try_from(high - low + 1).expect("high is above low");
        (low + self.random.below(span) as i64).to_string().into_bytes()
    }

    fn word(&mut self, words: &[&str]) -> Vec<u8> {
        self.random.pick(words).as_bytes().to_vec()
    }
}

impl Source for Maker {
    fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    fn key(&mut self, kind: Type) -> Vec<u8> {
        let percent = if self.home.is_some() { 1 } else { 8 };
        if kind != Type::Lexical && self.random.chance(percent) {
            let key = *self.random.pick(ODD_KEYS);
            if self.has_binary_keys || std::str::from_utf8(key).is_ok() {
                return key.to_vec();
            }
        }
        self.typed_key(kind)
    }

    fn value(&mut self, kind: char) -> Vec<u8> {
        match kind {
            'v' if self.random.chance(30) => self.bytes(),
            'v' => self.random.pick(VALUES).to_vec(),
            // Members and fields.
            'm' => self.word(&["a", "b", "c", "d", "e", "1", "2", "3", "10", "", "\u{e9}"]),
            'e' => self.word(&["f1", "f2", "f3", "f4", "", "STREAMS"]),
            // Integers: any, offsets, counts.
            'i' => self.number(-9, 9),
            'o' => self.number(0, 40),
            'c' => self.number(0, 5),
            'f' => self.word(&["1", "-2", "2.5", "0.1", "1e3", "-0.5", "inf", "3"]),
            // Times that do not come: in seconds and milliseconds, from now and absolute.
            't' => self.number(100_000, 100_009),
            'T' => self.number(100_000_000, 100_000_009),
            'u' => self.number(3_000_000_000, 3_000_000_005),
            'U' => self.number(3_000_000_000_000, 3_000_000_000_005),
            // Streams: ids, bounds of ranges, groups, consumers.
            'd' => self.id(),
            'D' if self.random.chance(40) => self.word(&["-", "+"]),
            'D' if self.random.chance(30) => [b"(", self.id().as_slice()].concat(),
            'D' => self.id(),
            'n' => self.word(&["g1", "g1", "g2", "STREAMS"]),
            'N' => self.word(&["c1", "c2"]),
            // Bounds of scores and of members.
            'a' => self.word(&["-inf", "+inf", "(1", "1", "2.5", "-3", "(3"]),
            'B' => self.word(&["-", "+", "[a", "(b", "[d", "[", "(10"]),
            // Longitudes and latitudes.
            'y' => self.number(-179, 179),
            'Y' => self.number(-84, 84),
            // Patterns: of keys, and of SORT.
            'P' => self.word(&["*", "*1*", "l?", "[a-z]*", "*t*", "", "\\*"]),
            'r' => {
                let (open, close) = (char::from(self.tag.0), char::from(self.tag.1));
                let home = char::from(self.home.unwrap_or(b't'));
                let tagged = format!("{open}{home}{close}");
                let patterns =
                    [format!("{tagged}s*"), format!("{tagged}h*->f1"), "s*".into(), "s".into()];
                self.random.pick(&patterns).as_bytes().to_vec()
            }
            // What is wrong nearly everywhere.
            'w' => self.word(&["", "junk", "0", "-1", "1.5", "99999999999999999999", "(", "STORE"]),
            other => panic!("there are no values of the kind {other}"),
        }
    }

    fn text(&mut self, name: &str) -> Vec<u8> {
        match name {
            "loaded" => self.random.pick(LOADED).0.as_bytes().to_vec(),
            "sha" if self.random.chance(10) => b"0000000000000000000000000000000000000000".to_vec(),
            "sha" => self.random.pick(LOADED).1.as_bytes().to_vec(),
            "library" => self.word(LIBRARIES),
            "dump" => [DUMP, self.typed_key(Type::Any).as_slice()].concat(),
            _ => {
                let script = SCRIPTS.iter().find(|(other, _)| *other == name);
                script.expect("there is a text of that name").1.as_bytes().to_vec()
            }
        }
    }
}
