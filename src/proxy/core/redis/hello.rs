//! Who a client is, and which protocol it speaks: `AUTH` and `HELLO`.

use super::Command;
use super::Mode;
use super::Step;
use super::local::bulk;
use crate::proxy::core::Core;

/// Which Redis we say we are: the one whose behaviour the command table was checked against.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// The only user there is.
const USER: &[u8] = b"default";

impl Core {
    /// `AUTH [user] password`.
    pub(super) fn auth(&mut self, key: usize, command: Command<'_>, args: &[&[u8]]) -> Step {
        let wanted = self.pools[self.sessions[key].pool].settings.client_auth.clone();
        let (user, password) = match args {
            [password] => (None, *password),
            [user, password] => (Some(*user), *password),
            _ => return self.wrong_arity(key, command),
        };
        let Some(wanted) = wanted else {
            // nutcracker's words.
            return self.say(key, command, "ERR Client sent AUTH, but no password is set");
        };
        let is_right = is_same(password, wanted.as_bytes());
        match user {
            // A wrong password undoes a right one, as in nutcracker.
            None => {
                self.sessions[key].is_authenticated = is_right;
                if is_right {
                    self.reply(key, command, b"+OK\r\n")
                } else {
                    self.say(key, command, "ERR invalid password")
                }
            }
            Some(user) => {
                if user == USER && is_right {
                    self.sessions[key].is_authenticated = true;
                    return self.reply(key, command, b"+OK\r\n");
                }
                self.say(key, command, WRONG)
            }
        }
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`.
    pub(super) fn hello(&mut self, key: usize, command: Command<'_>, args: &[&[u8]]) -> Step {
        let mut is_resp3 = self.sessions[key].is_resp3;
        let mut rest = args;
        if let [version, behind @ ..] = args {
            is_resp3 = match *version {
                b"2" => false,
                b"3" => true,
                _ if version.iter().all(u8::is_ascii_digit) => {
                    return self.say(key, command, "NOPROTO unsupported protocol version");
                }
                _ => {
                    let text = "ERR Protocol version is not an integer or out of range";
                    return self.say(key, command, text);
                }
            };
            rest = behind;
        }
        if is_resp3 != self.sessions[key].is_resp3 {
            // Its requests go to other connections from now on: they must not overtake those on their way, and
            // that of a transaction speaks as it was told to. What a subscriber hears is made of either.
            if let Some(Mode::Transaction(_)) = self.sessions[key].mode.as_deref() {
                let text = "ERR unsupported by the proxy: 'hello' with another version while keys are watched";
                return self.say(key, command, text);
            }
            if !self.sessions[key].queue.is_empty() {
                self.sessions[key].is_barred = true;
                return Step::Stalled;
            }
        }
        let mut name = None;
        while let [option, behind @ ..] = rest {
            rest = match (option.to_ascii_uppercase().as_slice(), behind) {
                (b"AUTH", [user, password, behind @ ..]) => {
                    let wanted = &self.pools[self.sessions[key].pool].settings.client_auth;
                    let is_right = match wanted {
                        Some(wanted) => *user == USER && is_same(password, wanted.as_bytes()),
                        // Redis's user `default` has no password then, and takes any.
                        None => *user == USER,
                    };
                    if !is_right {
                        return self.say(key, command, WRONG);
                    }
                    self.sessions[key].is_authenticated = true;
                    behind
                }
                (b"SETNAME", [client, behind @ ..]) => {
                    name = Some(*client);
                    behind
                }
                _ => {
                    let option = option.escape_ascii();
                    let text = format!("ERR Syntax error in HELLO option '{option}'");
                    return self.say(key, command, &text);
                }
            };
        }
        if !self.sessions[key].is_authenticated {
            return self.say(key, command, UNAUTHENTICATED);
        }
        if let Some(name) = name
            && let Err(text) = self.set_name(key, name)
        {
            return self.say(key, command, text);
        }
        let session = &mut self.sessions[key];
        session.is_resp3 = is_resp3;
        let reply = self.greeting(key, is_resp3);
        self.reply(key, command, &reply)
    }

    /// What `HELLO` answers.
    fn greeting(&self, key: usize, is_resp3: bool) -> Vec<u8> {
        let mut out = if is_resp3 { b"%7\r\n".to_vec() } else { b"*14\r\n".to_vec() };
        let mut say = |name: &str, value: Vec<u8>| {
            out.extend(bulk(name.as_bytes()));
            out.extend(value);
        };
        say("server", bulk(b"redis"));
        say("version", bulk(REDIS_VERSION.as_bytes()));
        say("proto", if is_resp3 { b":3\r\n".to_vec() } else { b":2\r\n".to_vec() });
        say("id", format!(":{}\r\n", self.client_id(key)).into_bytes());
        say("mode", bulk(b"standalone"));
        say("role", bulk(b"master"));
        say("modules", b"*0\r\n".to_vec());
        out
    }
}

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const UNAUTHENTICATED: &str = "NOAUTH HELLO must be called with the client already authenticated, \
     otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
     select the RESP protocol version at the same time";

/// Compares passwords in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (one, other)| bits | (one ^ other));
    one.len() == other.len() && differing == 0
}
