//! What the clients of a walk ask, and what they must be answered.

use super::super::nodes::array;
use super::super::nodes::block;
use super::super::nodes::bulk;
use super::super::nodes::value_of;
use super::super::request;
use super::Client;
use super::Expected;
use super::Walk;

impl Walk {
    fn key(&mut self) -> String {
        self.next += 1;
        let number = self.next;
        match self.random.below(12) {
            0 => format!("m{number}"),
            1 => format!("b:{}:{number}", 3000 + self.random.below(60_000)),
            2 => format!("b:{}:{number}", 16_300 + self.random.below(200)),
            3 if self.random.one_in(4) => format!("b:400000:{number}"),
            _ => format!("e{number}"),
        }
    }

    pub(super) fn redis_request(&mut self, client: &mut Client, bytes: &mut Vec<u8>) {
        let is_resp3 = client.is_resp3;
        let mut say = |words: &[&str], expected: Vec<u8>| {
            bytes.extend(request(words));
            client.expected.push_back(Expected::Bytes(expected));
        };
        let choice = self.random.below(24);
        let key = self.key();
        let name = key.as_str();
        let get = |key: &str| bulk(value_of(key.as_bytes()).as_deref(), is_resp3);
        match choice {
            0..=7 => say(&["GET", name], get(name)),
            8 | 9 => {
                let keys: Vec<String> = (0..1 + self.random.below(6)).map(|_| self.key()).collect();
                let words: Vec<&str> =
                    std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
                say(&words, array(keys.iter().map(|key| get(key))));
            }
            10 | 11 => {
                let keys: Vec<String> = (0..1 + self.random.below(6)).map(|_| self.key()).collect();
                let words: Vec<&str> =
                    std::iter::once("EXISTS").chain(keys.iter().map(String::as_str)).collect();
                say(&words, format!(":{}\r\n", keys.len()).into_bytes());
            }
            12 => say(&["PING", name], bulk(Some(name.as_bytes()), is_resp3)),
            13 => {
                let size = *self.random.pick(&[1, 16 << 10, 40_000]);
                say(&["SET", name, &"v".repeat(size)], b"+OK\r\n".to_vec());
            }
            14 => say(&["MSET", name, "1", "x", "2", "y", "3"], b"+OK\r\n".to_vec()),
            15 => {
                let first = format!("e{{{name}}}1");
                let second = format!("e{{{name}}}2");
                if self.random.one_in(2) {
                    say(&["WATCH", &first], b"+OK\r\n".to_vec());
                    say(&["GET", &second], get(&second));
                }
                say(&["MULTI"], b"+OK\r\n".to_vec());
                let has_more = self.random.one_in(3);
                if has_more {
                    say(&["PING", name], b"+QUEUED\r\n".to_vec());
                }
                let mut say = |words: &[&str], expected: Vec<u8>| {
                    bytes.extend(request(words));
                    client.expected.push_back(Expected::Bytes(expected));
                };
                say(&["GET", &first], b"+QUEUED\r\n".to_vec());
                say(&["GET", &second], b"+QUEUED\r\n".to_vec());
                match self.random.below(4) {
                    0 => say(&["DISCARD"], b"+OK\r\n".to_vec()),
                    1 => {
                        say(&["RESET"], b"+RESET\r\n".to_vec());
                        client.is_resp3 = false;
                    }
                    _ if has_more => {
                        bytes.extend(request(&["EXEC"]));
                        client.expected.push_back(Expected::Reply);
                    }
                    _ => say(&["EXEC"], array([get(&first), get(&second)])),
                }
            }
            16 => {
                let time = *self.random.pick(&["0", "1", "0.1"]);
                let value = array([bulk(Some(name.as_bytes()), false), get(name)]);
                say(&["BLPOP", name, time], value);
            }
            17 => {
                let version = if self.random.one_in(2) { "3" } else { "2" };
                bytes.extend(request(&["HELLO", version]));
                client.expected.push_back(Expected::Reply);
                client.is_resp3 = version == "3";
            }
            18 => {
                bytes.extend(request(&["SCAN", "0"]));
                client.expected.push_back(Expected::Reply);
            }
            19 => {
                bytes.extend(request(&["DBSIZE"]));
                client.expected.push_back(Expected::Reply);
            }
            20 => {
                bytes.extend(request(&["UNWATCH"]));
                client.expected.push_back(Expected::Bytes(b"+OK\r\n".to_vec()));
            }
            21 => {
                bytes.extend(format!("ECHO {name}\r\n").into_bytes());
                client.expected.push_back(Expected::Bytes(bulk(Some(name.as_bytes()), false)));
            }
            22 if self.random.one_in(5) => {
                say(&["QUIT"], b"+OK\r\n".to_vec());
                client.is_leaving = true;
            }
            _ => {
                let keys = [self.key(), self.key()];
                say(&["DEL", &keys[0], &keys[1]], b":2\r\n".to_vec());
            }
        }
    }

    pub(super) fn memcache_request(&mut self, client: &mut Client, bytes: &mut Vec<u8>) {
        let key = self.key();
        let name = key.as_str();
        let mut say = |line: String, expected: Vec<u8>| {
            bytes.extend(line.into_bytes());
            client.expected.push_back(Expected::Bytes(expected));
        };
        match self.random.below(16) {
            0..=5 => {
                let expected = [block(name.as_bytes(), false), b"END\r\n".to_vec()].concat();
                say(format!("get {name}\r\n"), expected);
            }
            6 | 7 => {
                let keys: Vec<String> = (0..1 + self.random.below(5)).map(|_| self.key()).collect();
                let blocks = keys.iter().map(|key| block(key.as_bytes(), true));
                let expected = [blocks.collect::<Vec<_>>().concat(), b"END\r\n".to_vec()].concat();
                say(format!("gets {}\r\n", keys.join(" ")), expected);
            }
            8 => say(format!("set {name} 0 0 5\r\nvalue\r\n"), b"STORED\r\n".to_vec()),
            9 => bytes.extend(format!("set {name} 0 0 2 noreply\r\nab\r\n").into_bytes()),
            10 => say(format!("delete {name}\r\n"), b"DELETED\r\n".to_vec()),
            11 => {
                let value = value_of(name.as_bytes());
                let expected = value.map_or(b"EN\r\n".to_vec(), |value| {
                    [format!("VA {}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat()
                });
                say(format!("mg {name} v\r\n"), expected);
            }
            12 => {
                bytes.extend(b"mg m1 v q\r\nmn\r\n");
                client.expected.push_back(Expected::Noop);
            }
            13 => say(format!("ms {name} 3\r\nabc\r\n"), b"HD\r\n".to_vec()),
            14 => say("version\r\n".into(), b"VERSION 1.6.18\r\n".to_vec()),
            _ => {
                let size = *self.random.pick(&[9, 16 << 10, 100_000]);
                let value = "v".repeat(size);
                say(format!("set {name} 0 0 {size}\r\n{value}\r\n"), b"STORED\r\n".to_vec());
            }
        }
    }
}
