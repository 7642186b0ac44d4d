//! Invocations made from the argument trees that a server tells (`COMMAND DOCS`).

use redis::Value;

/// A command with arguments that it accepts, or nearly so.
#[derive(Debug)]
pub struct Invocation {
    pub args: Vec<Vec<u8>>,
    /// The places of the arguments that the tree calls keys.
    pub keys: Vec<usize>,
}

/// A command or a subcommand, and the tree of its arguments.
pub struct Documented {
    /// `XGROUP CREATE`.
    pub name: String,
    arguments: Vec<Argument>,
}

#[derive(Default)]
struct Argument {
    name: String,
    kind: String,
    token: Option<String>,
    flags: Vec<String>,
    arguments: Vec<Argument>,
}

/// What a key, a member or a group may be called to make trouble: options of commands with keys behind
/// options, numbers, and bytes that are no text.
const WORDS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"key:1",
    b"key:2",
    b"{tag}a",
    b"{tag}b",
    b"STORE",
    b"storedist",
    b"KEYS",
    b"STREAMS",
    b"streams",
    b"BY",
    b"GET",
    b"LIMIT",
    b"COUNT",
    b"BLOCK",
    b"GROUP",
    b"AUTH",
    b"AUTH2",
    b"COPY",
    b"WEIGHTS",
    b"PREFIX",
    b"0",
    b"1",
    b"2",
    b"-1",
    b"*",
    b"w_*",
    b"#",
    b"",
    b"\0\xff\r\n",
];

/// A xorshift generator: the same numbers on every run.
pub struct Generator {
    seed: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// An invocation of `command`.
    pub fn invoke(&mut self, command: &Documented) -> Invocation {
        let args = command.name.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let mut made = Invocation { args, keys: Vec::new() };
        self.all(&command.arguments, &mut made);
        made
    }

    fn below(&mut self, limit: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % limit as u64) as usize
    }

    fn word(&mut self) -> Vec<u8> {
        WORDS[self.below(WORDS.len())].to_vec()
    }

    fn all(&mut self, arguments: &[Argument], made: &mut Invocation) {
        // Where the number of the keys that follow is to be written, and how many were before.
        let mut count = None;
        let mut previous = None;
        for argument in arguments {
            let is_skipped = argument.is("optional") && self.below(2) == 0;
            let times = match (is_skipped, argument.is("multiple"), previous) {
                (true, ..) => 0,
                (_, false, _) => 1,
                // `STREAMS key [key …] id [id …]`: as many ids as keys.
                (_, true, Some(keys)) if argument.name.eq_ignore_ascii_case("id") => keys,
                _ => 1 + self.below(4),
            };
            for time in 0..times {
                let is_repeated = time == 0 || argument.is("multiple_token");
                self.one(argument, is_repeated, made);
            }
            if argument.name == "numkeys" {
                count = Some((made.args.len() - 1, made.keys.len()));
            } else if let Some((place, before)) = count.take() {
                made.args[place] = (made.keys.len() - before).to_string().into_bytes();
            }
            previous = Some(times);
        }
    }

    fn one(&mut self, argument: &Argument, with_token: bool, made: &mut Invocation) {
        if let Some(token) = argument.token.as_ref().filter(|_| with_token) {
            // The documentation of MIGRATE writes the empty string with its quotes in Redis 8.
            made.args.push(token.replace('"', "").into_bytes());
        }
        let text = match argument.kind.as_str() {
            "pure-token" => return,
            "block" => return self.all(&argument.arguments, made),
            "oneof" => {
                let chosen = self.below(argument.arguments.len());
                return self.one(&argument.arguments[chosen], true, made);
            }
            "key" => {
                made.keys.push(made.args.len());
                self.word()
            }
            "integer" | "double" | "unix-time" => self.below(20).to_string().into_bytes(),
            "string" | "pattern" => self.word(),
            other => panic!("an argument of a type that is new: {other}"),
        };
        made.args.push(text);
    }
}

impl Argument {
    fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }
}

/// The commands in a reply to `COMMAND DOCS` by name, for the server's order is another on each start;
/// of a container, its subcommands.
pub fn documented(docs: &Value) -> Vec<Documented> {
    let mut commands = Vec::new();
    for (name, doc) in pairs(docs) {
        let fields = pairs(doc);
        match fields.iter().find(|(field, _)| field == "subcommands") {
            Some((_, subcommands)) => commands.extend(documented(subcommands)),
            None => commands.push(Documented {
                name: name.replace('|', " ").to_uppercase(),
                arguments: fields
                    .iter()
                    .filter(|(field, _)| field == "arguments")
                    .flat_map(|(_, list)| arguments(list))
                    .collect(),
            }),
        }
    }
    commands.sort_by(|one, other| one.name.cmp(&other.name));
    commands
}

fn arguments(list: &Value) -> Vec<Argument> {
    elements(list)
        .iter()
        .map(|tree| {
            let mut argument = Argument::default();
            for (field, value) in pairs(tree) {
                match field.as_str() {
                    "name" => argument.name = text(value),
                    "type" => argument.kind = text(value),
                    "token" => argument.token = Some(text(value)),
                    "flags" => argument.flags = elements(value).iter().map(text).collect(),
                    "arguments" => argument.arguments = arguments(value),
                    _ => {}
                }
            }
            argument
        })
        .collect()
}

/// The pairs of a map, which in RESP2 is an array.
fn pairs(value: &Value) -> Vec<(String, &Value)> {
    let elements = elements(value);
    elements.chunks_exact(2).map(|pair| (text(&pair[0]), &pair[1])).collect()
}

pub fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) | Value::Set(elements) => elements,
        other => panic!("{other:?} is no array"),
    }
}

pub fn text(value: &Value) -> String {
    redis::from_redis_value_ref(value).unwrap()
}
