//! Nodes that answer what they are asked, each key with its own value, whatever was stored: so every reply tells
//! which request it is to.
//!
//! `e…` is there, `b:SIZE:…` is there and so large, anything else is not.

use crate::protocol::resp::Frame;
use crate::protocol::resp::frame;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// The state of one connection to a node.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    is_resp3: bool,
    queued: Option<Vec<Vec<Vec<u8>>>>,
}

/// The value of a key, if it is there.
pub(crate) fn value_of(key: &[u8]) -> Option<Vec<u8>> {
    if key.starts_with(b"e") {
        return Some([b"<", key, b">"].concat());
    }
    let size = key.strip_prefix(b"b:")?.split(|&byte| byte == b':').next()?;
    let size: usize = std::str::from_utf8(size).ok()?.parse().ok()?;
    Some(key.iter().copied().cycle().take(size.min(1 << 20)).collect())
}

/// A bulk string, or nil.
pub(crate) fn bulk(value: Option<&[u8]>, is_resp3: bool) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Some(value) => write_bulk_string(&mut out, value),
        None if is_resp3 => out.extend_from_slice(b"_\r\n"),
        None => out.extend_from_slice(b"$-1\r\n"),
    }
    out
}

pub(crate) fn array(elements: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let elements: Vec<_> = elements.into_iter().collect();
    let mut out = Vec::new();
    write_array_header(&mut out, elements.len());
    out.extend(elements.concat());
    out
}

/// The block of a key in a memcached's reply.
pub(crate) fn block(key: &[u8], has_cas: bool) -> Vec<u8> {
    let Some(value) = value_of(key) else {
        return Vec::new();
    };
    let cas = if has_cas { " 7" } else { "" };
    let line = format!(" 0 {}{cas}\r\n", value.len());
    [b"VALUE ", key, line.as_bytes(), &value, b"\r\n"].concat()
}

impl Talk {
    /// Answers the first request in `asked` and removes it; `None` if it is not whole.
    pub(crate) fn redis(&mut self, asked: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut args = Vec::new();
        let length = match frame(asked, &mut args) {
            Ok(Frame::Command(length)) => length,
            Ok(Frame::Needs(_)) => return None,
            other => panic!("a node is sent {other:?}: {}", asked.escape_ascii()),
        };
        let args: Vec<Vec<u8>> = args.into_iter().map(<[u8]>::to_vec).collect();
        asked.drain(..length);
        let name = args[0].to_ascii_uppercase();
        if let Some(queued) = &mut self.queued
            && !matches!(name.as_slice(), b"EXEC" | b"DISCARD" | b"MULTI" | b"WATCH")
        {
            queued.push(args);
            return Some(b"+QUEUED\r\n".to_vec());
        }
        Some(self.reply(&name, &args))
    }

    fn reply(&mut self, name: &[u8], args: &[Vec<u8>]) -> Vec<u8> {
        let is_resp3 = self.is_resp3;
        let get = |key: &Vec<u8>| bulk(value_of(key).as_deref(), is_resp3);
        match (name, &args[1..]) {
            (b"GET", [key]) => get(key),
            (b"MGET", [_, ..]) => array(args[1..].iter().map(get)),
            (b"SET" | b"MSET", [_, _, ..]) => b"+OK\r\n".to_vec(),
            (b"DEL" | b"EXISTS" | b"UNLINK" | b"TOUCH", keys @ [_, ..]) => {
                format!(":{}\r\n", keys.len()).into_bytes()
            }
            (b"BLPOP", [key, _]) => array([bulk(Some(key), false), get(key)]),
            (b"SUBSCRIBE" | b"PSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE", [channel]) => {
                let word = name.to_ascii_lowercase();
                let mut reply = array([
                    bulk(Some(&word), false),
                    bulk(Some(channel), false),
                    b":1\r\n".to_vec(),
                ]);
                reply[0] = if is_resp3 { b'>' } else { b'*' };
                reply
            }
            (b"SCAN", [cursor, ..]) => {
                let next: &[u8] = if cursor == b"0" { b"5" } else { b"0" };
                array([bulk(Some(next), false), array([bulk(Some(b"e:scanned"), false)])])
            }
            (b"DBSIZE" | b"PUBLISH", _) => b":1\r\n".to_vec(),
            (b"PING", _) => b"+PONG\r\n".to_vec(),
            (b"AUTH" | b"SELECT" | b"WATCH" | b"UNWATCH" | b"FLUSHALL" | b"FLUSHDB", _) => {
                b"+OK\r\n".to_vec()
            }
            (b"HELLO", _) => {
                self.is_resp3 = true;
                b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec()
            }
            (b"MULTI", _) if self.queued.is_none() => {
                self.queued = Some(Vec::new());
                b"+OK\r\n".to_vec()
            }
            (b"DISCARD", _) if self.queued.take().is_some() => b"+OK\r\n".to_vec(),
            (b"EXEC", _) if self.queued.is_some() => {
                let queued = self.queued.take().unwrap_or_default();
                let replies = queued.iter().map(|args| {
                    let name = args[0].to_ascii_uppercase();
                    self.reply(&name, args)
                });
                array(replies.collect::<Vec<_>>())
            }
            _ => b"-ERR what is that\r\n".to_vec(),
        }
    }
}

/// Answers the first request of a memcached's in `asked` and removes it; `None` if it is not whole.
pub(crate) fn memcached(asked: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = asked.iter().position(|&byte| byte == b'\n')?;
    let line = asked[..end].to_vec();
    let line = line.strip_suffix(b"\r").unwrap_or(&line);
    let words: Vec<&[u8]> =
        line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
    let number = |place: usize| {
        let word = words.get(place).and_then(|word| std::str::from_utf8(word).ok());
        word.and_then(|word| word.parse::<usize>().ok())
    };
    let name = words.first().copied().unwrap_or_default();
    let value = match name {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => number(4),
        b"ms" => number(2),
        _ => None,
    };
    let length = end + 1 + value.map_or(0, |value| value.saturating_add(2));
    if asked.len() < length {
        return None;
    }
    // In the meta protocol that is a word like others, and it may be a key; `version` looks at none (memcached
    // 1.6.18 answers whatever follows).
    let is_meant =
        name.len() > 2 && !name.starts_with(b"g") && name != b"version" && words.len() > 2;
    let is_silent = is_meant && words.last() == Some(&&b"noreply"[..]);
    assert!(!is_silent, "a node is told to be silent: {}", line.escape_ascii());
    let key = words.get(1).copied().unwrap_or_default();
    let reply = match name {
        b"get" | b"gets" => {
            let blocks = words[1..].iter().map(|key| block(key, name == b"gets"));
            [blocks.collect::<Vec<_>>().concat(), b"END\r\n".to_vec()].concat()
        }
        b"gat" | b"gats" => {
            let keys = words.get(2..).unwrap_or_default();
            let blocks = keys.iter().map(|key| block(key, name == b"gats"));
            [blocks.collect::<Vec<_>>().concat(), b"END\r\n".to_vec()].concat()
        }
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" if value.is_some() => {
            b"STORED\r\n".to_vec()
        }
        b"delete" => b"DELETED\r\n".to_vec(),
        b"touch" => b"TOUCHED\r\n".to_vec(),
        b"incr" | b"decr" => b"5\r\n".to_vec(),
        b"mg" => match value_of(key) {
            Some(value) if words[2..].contains(&&b"v"[..]) => {
                [format!("VA {}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat()
            }
            Some(_) => b"HD\r\n".to_vec(),
            None => b"EN\r\n".to_vec(),
        },
        b"ms" if value.is_some() => b"HD\r\n".to_vec(),
        b"md" => b"HD\r\n".to_vec(),
        b"ma" => b"NF\r\n".to_vec(),
        b"me" => b"EN\r\n".to_vec(),
        b"version" => b"VERSION 1.6.18\r\n".to_vec(),
        b"verbosity" | b"flush_all" => b"OK\r\n".to_vec(),
        b"stats" => b"STAT pid 1\r\nEND\r\n".to_vec(),
        _ => b"ERROR\r\n".to_vec(),
    };
    asked.drain(..length);
    Some(reply)
}
