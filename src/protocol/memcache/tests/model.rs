//! A memcached of a hash map, which reads and writes both protocols in its own way.

use std::collections::HashMap;

use super::*;

/// What a server is, as far as these requests tell: flags, expiration, data, number.
pub(super) type Model = HashMap<Vec<u8>, (u32, u32, Vec<u8>, u64)>;

/// What `request` does to the model, and what is replied.
pub(super) fn apply<'m>(
    model: &'m mut Model,
    next: &mut u64,
    key: &[u8],
    request: &Request<'_>,
) -> Reply<'m> {
    *next += 1;
    let found = model.get(key).cloned();
    let mut put = |flags, expiration, data| {
        // No later time is sent.
        let expiration = u32::min(expiration, i32::MAX.cast_unsigned());
        model.insert(key.to_vec(), (flags, expiration, data, *next));
    };
    match (*request, found) {
        (Request::Get { with_cas }, Some(_)) => {
            let (flags, _, data, cas) = &model[key];
            Reply::Value { data, flags: *flags, cas: with_cas.then_some(*cas) }
        }
        (Request::Get { .. }, None) => Reply::Miss,
        (Request::Store { mode, flags, expiration, data }, found) => match (mode, found) {
            (StoreMode::Cas(_), None) => Reply::NotFound,
            (StoreMode::Cas(cas), Some(found)) if cas != found.3 => Reply::Exists,
            (StoreMode::Append, Some((flags, expiration, old, _))) => {
                put(flags, expiration, [&old, data].concat());
                Reply::Stored
            }
            (StoreMode::Prepend, Some((flags, expiration, old, _))) => {
                put(flags, expiration, [data, &old].concat());
                Reply::Stored
            }
            (StoreMode::Add, Some(_)) => Reply::NotStored,
            (StoreMode::Replace | StoreMode::Append | StoreMode::Prepend, None) => Reply::NotStored,
            _ => {
                put(flags, expiration, data.to_vec());
                Reply::Stored
            }
        },
        (_, None) => Reply::NotFound,
        (Request::Delete, Some(_)) => {
            model.remove(key);
            Reply::Deleted
        }
        (Request::Touch { expiration }, Some((flags, _, data, _))) => {
            put(flags, expiration, data);
            Reply::Touched
        }
        (Request::Increment { delta, .. } | Request::Decrement { delta, .. }, Some(found)) => {
            let Some(number) = std::str::from_utf8(&found.2).ok().and_then(|it| it.parse().ok())
            else {
                return Reply::Error(ErrorReply::Client(b"cannot increment or decrement"));
            };
            let number = match request {
                Request::Increment { .. } => u64::wrapping_add(number, delta),
                _ => u64::saturating_sub(number, delta),
            };
            put(found.0, found.1, number.to_string().into_bytes());
            Reply::Number(number)
        }
    }
}

/// Reads a request as a server does, from its text alone.
pub(super) fn parse(bytes: &[u8]) -> (Vec<u8>, Request<'_>, String) {
    let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
    let line = std::str::from_utf8(&bytes[..end]).unwrap();
    let words: Vec<_> = line.split(' ').collect();
    let flag = |name| words[2..].iter().find_map(|word| word.strip_prefix(name));
    let number = |place: usize| words[place].parse::<u64>().unwrap();
    let data = |length: usize| {
        assert_eq!(&bytes[end + 2 + length..], b"\r\n");
        &bytes[end + 2..end + 2 + length]
    };
    let mode = |name, cas: Option<u64>| match (name, cas) {
        ("set" | "S", None) => StoreMode::Set,
        ("cas" | "S", Some(cas)) => StoreMode::Cas(cas),
        ("add" | "E", None) => StoreMode::Add,
        ("replace" | "R", None) => StoreMode::Replace,
        ("append" | "A", None) => StoreMode::Append,
        ("prepend" | "P", None) => StoreMode::Prepend,
        other => panic!("mode {other:?}"),
    };
    let opaque = flag('O').unwrap_or_default().to_owned();
    let request = match words[0] {
        "get" => Request::Get { with_cas: false },
        "gets" => Request::Get { with_cas: true },
        "mg" if words.contains(&"v") => Request::Get { with_cas: words[2..].contains(&"c") },
        "mg" => Request::Touch { expiration: flag('T').unwrap().parse().unwrap() },
        "ms" => Request::Store {
            mode: mode(flag('M').unwrap(), flag('C').map(|cas| cas.parse().unwrap())),
            flags: flag('F').unwrap().parse().unwrap(),
            expiration: flag('T').unwrap().parse().unwrap(),
            data: data(number(2) as usize),
        },
        "md" | "delete" => Request::Delete,
        "ma" if flag('M') == Some("I") => {
            Request::Increment { delta: flag('D').unwrap().parse().unwrap(), creates: false }
        }
        "ma" => Request::Decrement { delta: flag('D').unwrap().parse().unwrap(), creates: false },
        "incr" => Request::Increment { delta: number(2), creates: false },
        "decr" => Request::Decrement { delta: number(2), creates: false },
        "touch" => Request::Touch { expiration: words[2].parse().unwrap() },
        name => Request::Store {
            mode: mode(name, words.get(5).map(|cas| cas.parse().unwrap())),
            flags: words[2].parse().unwrap(),
            expiration: words[3].parse().unwrap(),
            data: data(number(4) as usize),
        },
    };
    (words[1].as_bytes().to_vec(), request, opaque)
}

/// Writes a reply as a server does.
pub(super) fn reply_text(
    dialect: Dialect,
    kind: Kind,
    key: &[u8],
    opaque: &str,
    reply: &Reply<'_>,
) -> Vec<u8> {
    let key = String::from_utf8_lossy(key);
    let text = match (dialect, reply) {
        (_, Reply::Error(ErrorReply::Client(text))) => {
            format!("CLIENT_ERROR {}", String::from_utf8_lossy(text))
        }
        (Dialect::Classic, Reply::Value { data, flags, cas }) => {
            let cas = cas.map(|cas| format!(" {cas}")).unwrap_or_default();
            let data_text = std::str::from_utf8(data).unwrap();
            format!("VALUE {key} {flags} {}{cas}\r\n{data_text}\r\nEND", data.len())
        }
        (Dialect::Meta, Reply::Value { data, flags, cas }) => {
            let cas = cas.map(|cas| format!(" c{cas}")).unwrap_or_default();
            let data_text = std::str::from_utf8(data).unwrap();
            format!("VA {} f{flags}{cas} O{opaque}\r\n{data_text}", data.len())
        }
        (Dialect::Classic, Reply::Number(number)) => number.to_string(),
        (Dialect::Meta, Reply::Number(number)) => {
            format!("VA {} O{opaque}\r\n{number}", number.to_string().len())
        }
        (Dialect::Classic, reply) => match reply {
            Reply::Miss => "END".into(),
            Reply::Stored => "STORED".into(),
            Reply::NotStored => "NOT_STORED".into(),
            Reply::Exists => "EXISTS".into(),
            Reply::NotFound => "NOT_FOUND".into(),
            Reply::Deleted => "DELETED".into(),
            Reply::Touched => "TOUCHED".into(),
            other => panic!("{other:?}"),
        },
        (Dialect::Meta, reply) => {
            let word = match reply {
                Reply::Miss => "EN",
                Reply::NotFound if kind == Kind::Touch => "EN",
                Reply::NotFound => "NF",
                Reply::NotStored => "NS",
                Reply::Exists => "EX",
                Reply::Stored | Reply::Deleted | Reply::Touched => "HD",
                other => panic!("{other:?}"),
            };
            format!("{word} O{opaque}")
        }
    };
    [text.as_bytes(), b"\r\n"].concat()
}

/// A request that owns its data.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Plain(Request<'static>),
    Store(StoreMode, u32, u32, String),
}

impl Step {
    pub(super) fn request(&self) -> Request<'_> {
        match self {
            Self::Plain(request) => *request,
            Self::Store(mode, flags, expiration, data) => Request::Store {
                mode: *mode,
                flags: *flags,
                expiration: *expiration,
                data: data.as_bytes(),
            },
        }
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![
        2 => Just(StoreMode::Set),
        1 => Just(StoreMode::Add),
        1 => Just(StoreMode::Replace),
        1 => Just(StoreMode::Append),
        1 => Just(StoreMode::Prepend),
        3 => (0u64..20).prop_map(StoreMode::Cas),
    ];
    let data = prop_oneof!["[0-9]{1,5}", "[ -~]{0,9}", Just("\r\nEND\r\n".to_owned())];
    prop_oneof![
        any::<bool>().prop_map(|with_cas| Step::Plain(Request::Get { with_cas })),
        (mode, any::<u32>(), any::<u32>(), data)
            .prop_map(|(mode, flags, expiration, data)| Step::Store(mode, flags, expiration, data)),
        Just(Step::Plain(Request::Delete)),
        any::<u64>().prop_map(|delta| Step::Plain(Request::Increment { delta, creates: false })),
        (0u64..9999).prop_map(|delta| Step::Plain(Request::Decrement { delta, creates: false })),
        any::<u32>().prop_map(|expiration| Step::Plain(Request::Touch { expiration })),
    ]
}
