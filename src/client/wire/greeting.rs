//! What a new connection says before its first request.

use redis::ErrorKind;
use redis::ProtocolVersion;
use redis::RedisConnectionInfo;
use redis::ServerErrorKind;
use redis::Value;

use super::link::Refusal;
use crate::client::session::Session;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;

/// What `CLIENT SETINFO` says unless the application says otherwise.
pub(crate) const LIBRARY_NAME: &str = "shardwright";
pub(crate) const LIBRARY_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commands of a handshake, in redis-rs's order: protocol and password, database, library name; then
/// what the application set on the connection before it broke.
///
/// Requests follow only when every one of them was answered as it should be: a request in the wrong
/// database, or under the wrong user, is worse than none.
#[derive(Debug)]
pub(super) struct Greeting {
    bytes: Vec<u8>,
    steps: Vec<Step>,
    /// `AUTH` with a user name was sent; servers before Redis 6 do not know that form.
    has_user: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    Select,
    /// What is set on the connection; must succeed.
    Session,
    /// May fail: servers before Redis 7.2 do not know `CLIENT SETINFO`.
    Ignored,
}

impl Step {
    /// Whether `reply`, which is no error, says that it was done. What sets the user and the database must
    /// have been understood; of the rest other servers may have their own idea.
    fn expects(self, reply: &Value) -> bool {
        match self {
            Self::Auth | Self::Select => *reply == Value::Okay,
            Self::Hello => matches!(reply, Value::Map(_) | Value::Array(_)),
            Self::Session | Self::Ignored => true,
        }
    }
}

/// What the replies to a greeting mean.
#[derive(Debug)]
pub(super) enum Greeted {
    Welcome,
    /// Once more, without the user name.
    Again(Greeting),
}

impl Greeting {
    pub(super) fn new(info: &RedisConnectionInfo, session: &Session) -> Self {
        Self::with_user(info, session, true)
    }

    fn with_user(info: &RedisConnectionInfo, session: &Session, sends_user: bool) -> Self {
        let mut greeting = Self { bytes: Vec::new(), steps: Vec::new(), has_user: false };
        let user = info.username().filter(|_| sends_user);
        let database = info.db().to_string();
        // The application's password takes the place of the URL's, which may be no good any more.
        let password = info.password().filter(|_| session.auth().is_none());
        if let Some(auth) = session.auth() {
            greeting.replay(auth);
        }
        if info.protocol() != ProtocolVersion::RESP2 {
            let mut hello = vec!["HELLO", "3"];
            if let Some(password) = password {
                // `HELLO` knows only the long form; `default` is the user of the short one.
                hello.extend(["AUTH", info.username().unwrap_or("default"), password]);
            }
            greeting.push(Step::Hello, &hello);
        } else if let Some(password) = password {
            greeting.has_user = user.is_some();
            let auth: Vec<_> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
            greeting.push(Step::Auth, &auth);
        }
        if info.db() != 0 {
            greeting.push(Step::Select, &["SELECT", &database]);
        }
        if !info.skip_set_lib_name() {
            let name = info.lib_name().unwrap_or(LIBRARY_NAME);
            let version = info.lib_ver().unwrap_or(LIBRARY_VERSION);
            greeting.push(Step::Ignored, &["CLIENT", "SETINFO", "LIB-NAME", name]);
            greeting.push(Step::Ignored, &["CLIENT", "SETINFO", "LIB-VER", version]);
        }
        for command in session.others() {
            greeting.replay(command);
        }
        greeting
    }

    fn replay(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.steps.push(Step::Session);
    }

    fn push(&mut self, step: Step, args: &[&str]) {
        write_array_header(&mut self.bytes, args.len());
        for argument in args {
            write_bulk_string(&mut self.bytes, argument.as_bytes());
        }
        self.steps.push(step);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many replies will come.
    pub(super) fn replies(&self) -> usize {
        self.steps.len()
    }

    /// Judges the replies.
    ///
    /// # Errors
    ///
    /// If the node refused what requests rely on.
    pub(super) fn judge(
        &self,
        replies: Vec<Value>,
        info: &RedisConnectionInfo,
        session: &Session,
    ) -> Result<Greeted, Refusal> {
        for (step, reply) in self.steps.iter().zip(replies) {
            let Value::ServerError(error) = reply else {
                if step.expects(&reply) {
                    continue;
                }
                let reason = "the handshake was answered with another type of reply".into();
                return Err(Refusal { kind: ErrorKind::Parse, reason });
            };
            let details = without_arguments(error.details().unwrap_or_default());
            let refuse = |kind, what: &str| {
                Err(Refusal { kind, reason: format!("{what}: {} {details}", error.code()) })
            };
            match step {
                Step::Ignored => {}
                Step::Auth if self.has_user && is_arity_error(details) => {
                    return Ok(Greeted::Again(Self::with_user(info, session, false)));
                }
                Step::Hello if is_unknown_command(details) => {
                    return refuse(ErrorKind::RESP3NotSupported, "RESP3 is not supported");
                }
                Step::Auth => {
                    return refuse(ErrorKind::AuthenticationFailed, "authentication failed");
                }
                Step::Hello if matches!(error.code(), "WRONGPASS" | "NOAUTH" | "NOPERM") => {
                    return refuse(ErrorKind::AuthenticationFailed, "authentication failed");
                }
                Step::Select => {
                    return refuse(ServerErrorKind::ResponseError.into(), "database refused");
                }
                Step::Hello | Step::Session => {
                    let kind = error.kind().map_or(ErrorKind::Extension, ErrorKind::from);
                    return refuse(kind, "handshake refused");
                }
            }
        }
        Ok(Greeted::Welcome)
    }
}

/// What a server says, without the arguments of the command that it does not know (Redis 7.0 `server.c`
/// `processCommand` quotes them): among those of a handshake is the password.
pub(crate) fn without_arguments(text: &str) -> &str {
    text.split(", with args beginning with").next().unwrap_or_default()
}

fn is_arity_error(details: &str) -> bool {
    details.contains("wrong number of arguments")
}

fn is_unknown_command(details: &str) -> bool {
    details.to_ascii_lowercase().starts_with("unknown command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::wire::error_value;

    fn text(greeting: &Greeting) -> String {
        let mut rest = greeting.bytes();
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let mut args = Vec::new();
            let length = crate::protocol::resp::request(rest, &mut args).unwrap();
            let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            lines.push(words.join(" "));
            rest = &rest[length..];
        }
        assert_eq!(lines.len(), greeting.replies());
        lines.join("; ")
    }

    fn quiet() -> RedisConnectionInfo {
        RedisConnectionInfo::default().set_skip_set_lib_name()
    }

    #[test]
    fn password_comes_before_database_before_the_rest() {
        let session = Session::default();
        assert_eq!(text(&Greeting::new(&quiet(), &session)), "");
        let info = quiet().set_password("p").set_db(3);
        assert_eq!(text(&Greeting::new(&info, &session)), "AUTH p; SELECT 3");
        let info = info.set_username("u");
        assert_eq!(text(&Greeting::new(&info, &session)), "AUTH u p; SELECT 3");
        let info = info.set_protocol(ProtocolVersion::RESP3);
        assert_eq!(text(&Greeting::new(&info, &session)), "HELLO 3 AUTH u p; SELECT 3");
        let named = RedisConnectionInfo::default().set_lib_name("app", "9");
        let expected = "CLIENT SETINFO LIB-NAME app; CLIENT SETINFO LIB-VER 9";
        assert_eq!(text(&Greeting::new(&named, &session)), expected);
    }

    #[test]
    fn a_handshake_answered_with_something_else_is_an_error() {
        let session = Session::default();
        let info = quiet().set_password("p").set_db(3);
        let greeting = Greeting::new(&info, &session);
        for replies in [[Value::Nil, Value::Okay], [Value::Okay, Value::Int(1)]] {
            let refusal = greeting.judge(replies.into(), &info, &session).unwrap_err();
            assert_eq!(refusal.kind, ErrorKind::Parse);
        }
        let info = quiet().set_protocol(ProtocolVersion::RESP3);
        let greeting = Greeting::new(&info, &session);
        assert!(greeting.judge(vec![Value::Map(Vec::new())], &info, &session).is_ok());
        assert!(greeting.judge(vec![Value::Okay], &info, &session).is_err());
    }

    #[test]
    fn a_password_that_a_server_quotes_is_not_in_the_error() {
        let text = "ERR unknown command 'AUTH', with args beginning with: 'alice' 's3cret' ";
        let mut session = Session::default();
        session.remember(crate::command::SessionCommand::Auth, &[b"AUTH", b"alice", b"s3cret"]);
        for (info, session) in [
            (quiet().set_password("s3cret"), Session::default()),
            (
                quiet().set_password("s3cret").set_protocol(ProtocolVersion::RESP3),
                Session::default(),
            ),
            (quiet(), session),
        ] {
            let greeting = Greeting::new(&info, &session);
            let refusal = greeting.judge(vec![error_value(text)], &info, &session).unwrap_err();
            assert!(refusal.reason.ends_with(": ERR unknown command 'AUTH'"), "{}", refusal.reason);
        }
    }

    #[test]
    fn a_refused_database_or_password_is_an_error_and_a_refused_name_is_not() {
        let session = Session::default();
        let info = RedisConnectionInfo::default().set_username("u").set_password("p").set_db(3);
        let greeting = Greeting::new(&info, &session);
        let judge = |greeting: &Greeting, errors: [&str; 4]| {
            let reply = |text: &str| if text.is_empty() { Value::Okay } else { error_value(text) };
            greeting.judge(errors.map(reply).into(), &info, &session)
        };
        assert!(matches!(judge(&greeting, ["", "", "ERR x", "ERR x"]), Ok(Greeted::Welcome)));
        let refusal = judge(&greeting, ["", "ERR DB index is out of range", "", ""]).unwrap_err();
        assert_eq!(refusal.reason, "database refused: ERR DB index is out of range");
        let refusal = judge(&greeting, ["WRONGPASS x", "NOAUTH x", "", ""]).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::AuthenticationFailed);
        let arity = "ERR wrong number of arguments for 'auth' command";
        let Ok(Greeted::Again(again)) = judge(&greeting, [arity, "NOAUTH", "", ""]) else {
            panic!("an old server is asked again");
        };
        assert!(text(&again).starts_with("AUTH p; SELECT 3"));
        let refusal = judge(&again, [arity, "", "", ""]).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::AuthenticationFailed);
    }
}
