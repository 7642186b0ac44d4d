//! Commands from templates.
//!
//! | in a template | stands for |
//! |---|---|
//! | `SET` | itself |
//! | `<z>` | a key, of the type the letter says ([`Type`]) |
//! | `$v` | an argument of the kind the letter says ([`values`](super::values)) |
//! | `%name` | a text of that name, which has spaces ([`values::text`](super::values::text)) |
//! | `( a \| b )` | one of them |
//! | `[ a \| b ]` | one of them or nothing |
//! | `{ a }` | `a` once or more |
//! | `#{ a }` | how often, and then `a` so often |
//! | `&{ a \| b }` | `a` once or more, and then `b` as often |

use super::random::Random;

/// Which keys a template wants. Most of the keys that it gets are of that type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Bitmap,
    HyperLogLog,
    List,
    Hash,
    Set,
    SortedSet,
    Geo,
    Stream,
    /// A sorted set whose members have all the same score: of others `BYLEX` says something else on each
    /// server. No other template gets such a key.
    Lexical,
    Any,
}

impl Type {
    /// All but the last two, with the letters that stand for them in templates and in the names of keys.
    pub const ALL: [(char, Self); 9] = [
        ('s', Self::String),
        ('b', Self::Bitmap),
        ('p', Self::HyperLogLog),
        ('l', Self::List),
        ('h', Self::Hash),
        ('S', Self::Set),
        ('z', Self::SortedSet),
        ('g', Self::Geo),
        ('x', Self::Stream),
    ];

    fn of(letter: char) -> Self {
        if letter == 'e' {
            return Self::Lexical;
        }
        let found = Self::ALL.into_iter().find(|(other, _)| *other == letter);
        found.map_or(Self::Any, |(_, kind)| kind)
    }
}

/// Where the arguments of a command come from.
pub trait Source {
    fn random(&mut self) -> &mut Random;
    fn key(&mut self, kind: Type) -> Vec<u8>;
    fn value(&mut self, kind: char) -> Vec<u8>;
    fn text(&mut self, name: &str) -> Vec<u8>;
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Word(&'static str),
    Key(Type),
    Value(char),
    Text(&'static str),
    Choice(Vec<Vec<Part>>),
    Optional(Vec<Vec<Part>>),
    Repeated(Vec<Part>),
    Counted(Vec<Part>),
    Parallel(Vec<Vec<Part>>),
}

impl Template {
    pub fn parse(text: &'static str) -> Self {
        let mut words = text.split_ascii_whitespace();
        let alternatives = alternatives(&mut words, None);
        let [parts] = <[_; 1]>::try_from(alternatives).expect("a template has no alternatives");
        Self { parts }
    }

    /// Whether a key can stand in it.
    pub fn has_keys(&self) -> bool {
        self.parts.iter().any(Part::has_keys)
    }

    /// Whether its command is split by node.
    pub fn is_split(&self) -> bool {
        const SPLIT: [&str; 6] = ["MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH"];
        matches!(self.parts.first(), Some(Part::Word(name)) if SPLIT.contains(name))
    }

    /// Whether its command does something that must not happen if it is changed: a score for a set that
    /// is to have none, a user that outlives the case, a wait without end.
    pub fn is_delicate(&self) -> bool {
        const DELICATE: [&str; 2] = ["ACL", "CONFIG"];
        self.parts.iter().any(|part| match part {
            Part::Key(kind) => *kind == Type::Lexical,
            Part::Word(word) => DELICATE.contains(word) || *word == "BLOCK" || *word == "0.01",
            _ => false,
        })
    }

    /// Whether a server's error about its command may name a key.
    pub fn has_keys_in_errors(&self) -> bool {
        const UNKNOWN: [&str; 8] =
            ["NOSUCH", "HGETEX", "VADD", "JSON.GET", "JSON.MGET", "JSON.MSET", "MSETEX", "DELEX"];
        matches!(self.parts.first(), Some(Part::Word(name))
            if name.starts_with('X') || UNKNOWN.contains(name))
    }

    /// A command made from it.
    pub fn expand(&self, source: &mut impl Source) -> Vec<Vec<u8>> {
        let mut args = Vec::new();
        expand(&self.parts, source, &mut args);
        args
    }
}

impl Part {
    fn has_keys(&self) -> bool {
        match self {
            Self::Key(_) => true,
            Self::Word(_) | Self::Value(_) | Self::Text(_) => false,
            Self::Choice(sequences) | Self::Optional(sequences) | Self::Parallel(sequences) => {
                sequences.iter().flatten().any(Self::has_keys)
            }
            Self::Repeated(parts) | Self::Counted(parts) => parts.iter().any(Self::has_keys),
        }
    }
}

/// Reads up to `end`, or to the end of the template.
fn alternatives(
    words: &mut impl Iterator<Item = &'static str>,
    end: Option<&str>,
) -> Vec<Vec<Part>> {
    let mut sequences = vec![Vec::new()];
    while let Some(word) = words.next() {
        let part = match word {
            _ if Some(word) == end => return sequences,
            "|" => {
                sequences.push(Vec::new());
                continue;
            }
            "(" => Part::Choice(alternatives(words, Some(")"))),
            "[" => Part::Optional(alternatives(words, Some("]"))),
            "{" => Part::Repeated(alternatives(words, Some("}")).concat()),
            "#{" => Part::Counted(alternatives(words, Some("}")).concat()),
            "&{" => Part::Parallel(alternatives(words, Some("}"))),
            _ => leaf(word),
        };
        sequences.last_mut().expect("there is one from the beginning").push(part);
    }
    assert!(end.is_none(), "a template lacks {end:?}");
    sequences
}

fn leaf(word: &'static str) -> Part {
    let letter = |text: &str| text.chars().next().expect("a letter stands there");
    if let Some(kind) = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        return Part::Key(Type::of(letter(kind)));
    }
    match word.split_at(1) {
        ("$", kind) if !kind.is_empty() => Part::Value(letter(kind)),
        ("%", name) if !name.is_empty() => Part::Text(name),
        _ => Part::Word(word),
    }
}

fn expand(parts: &[Part], source: &mut impl Source, args: &mut Vec<Vec<u8>>) {
    for part in parts {
        match part {
            Part::Word(word) => args.push(word.as_bytes().to_vec()),
            Part::Key(kind) => args.push(source.key(*kind)),
            Part::Value(kind) => args.push(source.value(*kind)),
            Part::Text(name) => args.push(source.text(name)),
            Part::Choice(sequences) => {
                let chosen = source.random().below(sequences.len());
                expand(&sequences[chosen], source, args);
            }
            Part::Optional(sequences) => {
                if source.random().chance(40) {
                    let chosen = source.random().below(sequences.len());
                    expand(&sequences[chosen], source, args);
                }
            }
            Part::Repeated(parts) => {
                for _ in 0..times(source) {
                    expand(parts, source, args);
                }
            }
            Part::Counted(parts) => {
                let times = times(source);
                args.push(times.to_string().into_bytes());
                for _ in 0..times {
                    expand(parts, source, args);
                }
            }
            Part::Parallel(sequences) => {
                let times = times(source);
                for parts in sequences {
                    for _ in 0..times {
                        expand(parts, source, args);
                    }
                }
            }
        }
    }
}

/// Mostly few, now and then many.
fn times(source: &mut impl Source) -> usize {
    let limit = if source.random().chance(15) { 20 } else { 4 };
    1 + source.random().below(limit)
}
