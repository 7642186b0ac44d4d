//! Whether two replies say the same.

use redis::Value;

use super::step::Args;

/// What of a reply is the same on every server with the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Exact,
    /// The elements, in any order.
    Unordered,
    /// The elements, in any order, and theirs too.
    DeeplyUnordered,
    /// The pairs, in any order.
    Pairs,
    /// A number, give or take so much.
    Near(i64),
    /// All but points in time and durations.
    Timeless,
    /// What kind of reply it is, how many elements it has, and its text if it is an error.
    Length,
    /// What kind of reply it is, and its text if it is an error.
    Shape,
}

/// Room for a machine that is busy, in milliseconds.
const SLACK: i64 = 20_000;

fn manner(args: &Args) -> Manner {
    let word =
        |place: usize| args.get(place).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    match (word(0).as_slice(), word(1).as_slice()) {
        (
            b"SMEMBERS" | b"SINTER" | b"SUNION" | b"SDIFF" | b"KEYS" | b"HKEYS" | b"HVALS"
            | b"SORT" | b"SORT_RO",
            _,
        )
        | (b"PUBSUB", b"CHANNELS" | b"SHARDCHANNELS")
        | (b"ACL", b"CAT" | b"USERS") => Manner::Unordered,
        (b"COMMAND", b"GETKEYS") => Manner::Exact,
        (b"FUNCTION", b"LIST") | (b"COMMAND", _) => Manner::DeeplyUnordered,
        (b"HGETALL", _) | (b"CONFIG", b"GET") => Manner::Pairs,
        (b"TTL" | b"EXPIRETIME", _) => Manner::Near(SLACK / 1000),
        (b"PTTL" | b"PEXPIRETIME", _) => Manner::Near(SLACK),
        (b"XPENDING" | b"XINFO", _) => Manner::Timeless,
        (b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER", _) => Manner::Length,
        (
            b"RANDOMKEY" | b"SCAN" | b"SSCAN" | b"HSCAN" | b"ZSCAN" | b"TIME" | b"LASTSAVE"
            | b"LOLWUT" | b"INFO" | b"ROLE" | b"DUMP" | b"SPOP",
            _,
        )
        | (b"MEMORY" | b"SLOWLOG" | b"LATENCY" | b"CLIENT", _)
        | (b"ACL", b"LOG")
        | (b"OBJECT", b"IDLETIME")
        | (b"FUNCTION", b"STATS") => match (word(0).as_slice(), word(1).as_slice()) {
            (b"CLIENT", b"GETNAME" | b"SETNAME" | b"NO-EVICT") => Manner::Exact,
            _ => Manner::Shape,
        },
        _ => Manner::Exact,
    }
}

/// What else decides whether two replies say the same.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Of the pool.
    pub nodes: usize,
    /// Whether the elements come in the same order on every server; of a `SORT` it depends on the key.
    pub is_ordered: bool,
}

/// How the replies to a command differ, if they do.
pub fn differs(
    args: &Args,
    ours: &Value,
    theirs: &Value,
    circumstances: Circumstances,
) -> Option<String> {
    let manner = match manner(args) {
        Manner::Unordered if circumstances.is_ordered => Manner::Exact,
        manner => manner,
    };
    if let Value::Map(nodes) = ours
        && is_by_node(args)
        && circumstances.nodes > 1
    {
        // Each node's reply is one like that of the big server.
        let wrong = (nodes.len() != circumstances.nodes).then(|| format!("ours   {ours:?}"));
        let alone = Circumstances { nodes: 1, ..circumstances };
        let mut all = nodes.iter().map(|(_, reply)| differs(args, reply, theirs, alone));
        return wrong.or_else(|| all.find_map(|difference| difference));
    }
    if let (Value::ServerError(one), Value::ServerError(other)) = (ours, theirs)
        && is_split_and_unknown(args)
        && circumstances.nodes > 1
        && (one.code(), other.code()) == ("ERR", "ERR")
    {
        // The server quotes what it got, which is a part.
        return None;
    }
    let (one, other) = (normal(ours, manner), normal(theirs, manner));
    if let (Manner::Near(slack), Value::Int(one), Value::Int(other)) = (manner, &one, &other)
        && *one > 0
        && *other > 0
        && one.abs_diff(*other) <= slack.unsigned_abs()
    {
        return None;
    }
    // Not a comparison of values: NaN equals nothing.
    let (one, other) = (format!("{one:?}"), format!("{other:?}"));
    (one != other).then(|| format!("ours   {one}\n      theirs {other}"))
}

/// Whether the reply of a pool is a map by node.
fn is_by_node(args: &Args) -> bool {
    const BY_NODE: [&str; 7] = [
        "FUNCTION STATS",
        "CLIENT LIST",
        "INFO",
        "ROLE",
        "LATENCY LATEST",
        "MEMORY DOCTOR",
        "MEMORY STATS",
    ];
    BY_NODE.iter().any(|name| {
        name.split(' ')
            .zip(args)
            .all(|(word, argument)| argument.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Whether it is a command that we split and that the server does not know.
fn is_split_and_unknown(args: &Args) -> bool {
    args.first().is_some_and(|name| name.to_ascii_uppercase().starts_with(b"JSON.M"))
}

fn normal(value: &Value, manner: Manner) -> Value {
    if matches!(value, Value::ServerError(_)) {
        return value.clone();
    }
    match manner {
        Manner::Exact | Manner::Near(_) => value.clone(),
        Manner::Unordered => sorted(value.clone()),
        Manner::DeeplyUnordered => deeply_sorted(value.clone()),
        Manner::Pairs => match value {
            Value::Array(elements) => {
                let pairs = elements.chunks(2).map(|pair| Value::Array(pair.to_vec())).collect();
                sorted(Value::Array(pairs))
            }
            other => sorted(other.clone()),
        },
        Manner::Timeless => timeless(value),
        Manner::Length => {
            let length = elements(value).len();
            Value::Array(vec![shape(value), Value::Int(length as i64)])
        }
        Manner::Shape => shape(value),
    }
}

fn sorted(value: Value) -> Value {
    let by_text = |value: &Value| format!("{value:?}");
    match value {
        Value::Array(mut elements) => {
            elements.sort_by_key(by_text);
            Value::Array(elements)
        }
        Value::Set(mut elements) => {
            elements.sort_by_key(by_text);
            Value::Set(elements)
        }
        Value::Map(mut pairs) => {
            pairs.sort_by_key(|(key, _)| by_text(key));
            Value::Map(pairs)
        }
        other => other,
    }
}

fn deeply_sorted(value: Value) -> Value {
    let all = |values: Vec<Value>| values.into_iter().map(deeply_sorted).collect();
    sorted(match value {
        Value::Array(elements) => Value::Array(all(elements)),
        Value::Set(elements) => Value::Set(all(elements)),
        Value::Map(pairs) => {
            Value::Map(pairs.into_iter().map(|(key, value)| (key, deeply_sorted(value))).collect())
        }
        other => other,
    })
}

/// The value with zeros in the place of times: what stands behind the names of durations, numbers
/// that are milliseconds of this century, and the third of four elements of which the first is an id
/// (`XPENDING`).
fn timeless(value: &Value) -> Value {
    let is_duration = |name: &Value| {
        let names: [&[u8]; 3] = [b"idle", b"inactive", b"seen-time"];
        matches!(name, Value::BulkString(name) if names.contains(&name.as_slice()))
    };
    match value {
        Value::Int(number) if *number > 1_500_000_000_000 => Value::Int(0),
        Value::Map(pairs) => {
            let masked = pairs.iter().map(|(name, value)| {
                let value = if is_duration(name) { Value::Int(0) } else { timeless(value) };
                (name.clone(), value)
            });
            Value::Map(masked.collect())
        }
        Value::Array(elements) => {
            let is_pending = matches!(
                elements.as_slice(),
                [Value::BulkString(_), Value::BulkString(_), Value::Int(_), Value::Int(_)]
            );
            let masked = elements.iter().enumerate().map(|(place, element)| {
                let is_named = place > 0 && is_duration(&elements[place - 1]);
                if is_named || is_pending && place == 2 { Value::Int(0) } else { timeless(element) }
            });
            Value::Array(masked.collect())
        }
        other => other.clone(),
    }
}

fn shape(value: &Value) -> Value {
    let none = Vec::new;
    match value {
        Value::Int(_) => Value::Int(0),
        Value::BulkString(_) => Value::BulkString(none()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Set(_) => Value::Set(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::VerbatimString { format, .. } => {
            Value::VerbatimString { format: format.clone(), text: String::new() }
        }
        other => other.clone(),
    }
}

/// The elements of an array, a set or a map.
pub fn elements(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(elements) | Value::Set(elements) => elements.clone(),
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect()
        }
        _ => Vec::new(),
    }
}

/// The bytes of a string.
pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
