//! What is said first on a new connection: who we are, and which protocol will be spoken.

use super::endpoint::User;
use super::options::MemcacheProtocol;
use super::transport::Transport;
use super::wire_error::WireError;
use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::Dialect;
use crate::protocol::memcache::ErrorReply;
use crate::protocol::memcache::ProgressOf;
use crate::protocol::memcache::read_auth;
use crate::protocol::memcache::read_meta_noop;
use crate::protocol::memcache::read_version;
use crate::protocol::memcache::write_auth;
use crate::protocol::memcache::write_meta_noop;
use crate::protocol::memcache::write_version;

/// A greeting under way. Without a user name, and with a protocol that was chosen, there is nothing to say.
#[derive(Debug)]
pub(super) struct Greeting {
    bytes: Vec<u8>,
    sent: usize,
    /// The replies that are owed, the next one last.
    owed: Vec<Question>,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    User,
    Version,
    Meta,
}

/// From this version on the meta commands are as they are today: before it some replies were others (1.6.9
/// says `OK` where later ones say `HD`).
const META_SINCE: [u32; 3] = [1, 6, 10];

impl Greeting {
    pub(super) fn new(user: Option<&User>, protocol: MemcacheProtocol) -> Self {
        let mut bytes = Vec::new();
        let mut owed = Vec::new();
        if let Some(user) = user {
            write_auth(&mut bytes, user.name.as_bytes(), user.password.as_bytes());
            owed.push(Question::User);
        }
        let dialect = match protocol {
            MemcacheProtocol::Ascii => Dialect::Classic,
            MemcacheProtocol::Meta => Dialect::Meta,
            MemcacheProtocol::Auto => {
                write_version(&mut bytes);
                write_meta_noop(&mut bytes);
                owed.extend([Question::Version, Question::Meta]);
                Dialect::Meta
            }
        };
        owed.reverse();
        Self { bytes, sent: 0, owed, dialect }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Writes and reads what goes. Returns the protocol to speak when all is said.
    ///
    /// # Errors
    ///
    /// If the node does not want us, or is no memcached.
    pub(super) fn advance(
        &mut self,
        transport: &mut Transport,
    ) -> Result<Option<Dialect>, WireError> {
        while !self.is_sent() {
            match transport.try_send(&self.bytes[self.sent..])? {
                0 => return Ok(None),
                count => self.sent += count,
            }
        }
        while let Some(question) = self.owed.last() {
            match self.judge(*question, transport.arrived())? {
                Ok(length) => {
                    transport.take(length);
                    self.owed.pop();
                }
                Err(missing) => {
                    if transport.try_receive(missing)? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(self.dialect))
    }

    /// What the next answer says, and its length; or how much of it is missing.
    fn judge(
        &mut self,
        question: Question,
        bytes: &[u8],
    ) -> Result<Result<usize, usize>, WireError> {
        match question {
            Question::User => match read_auth(bytes)? {
                ProgressOf::Missing(count) => Ok(Err(count)),
                ProgressOf::Whole(Ok(()), length) => Ok(Ok(length)),
                ProgressOf::Whole(Err(error), _) => Err(refused(error)),
            },
            Question::Version => match read_version(bytes)? {
                ProgressOf::Missing(count) => Ok(Err(count)),
                ProgressOf::Whole(Ok(version), length) => {
                    if !has_meta(version) {
                        self.dialect = Dialect::Classic;
                    }
                    Ok(Ok(length))
                }
                ProgressOf::Whole(Err(error), _) => Err(refused(error)),
            },
            Question::Meta => match read_meta_noop(bytes)? {
                ProgressOf::Missing(count) => Ok(Err(count)),
                ProgressOf::Whole(Ok(()), length) => Ok(Ok(length)),
                ProgressOf::Whole(Err(ErrorReply::Unknown), length) => {
                    self.dialect = Dialect::Classic;
                    Ok(Ok(length))
                }
                ProgressOf::Whole(Err(error), _) => Err(refused(error)),
            },
        }
    }
}

/// Whether a server of this version has the meta commands as they are today. One that says no number is
/// taken at its word when it answers to them.
fn has_meta(version: &[u8]) -> bool {
    let text = String::from_utf8_lossy(version);
    let numbers = text.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    let numbers: Vec<_> = numbers.map_while(|number| number).collect();
    numbers.is_empty() || numbers.as_slice() >= META_SINCE.as_slice()
}

fn refused(error: ErrorReply<'_>) -> WireError {
    let (what, text): (_, &[u8]) = match error {
        ErrorReply::Unknown => ("ERROR", b""),
        ErrorReply::Client(text) => ("CLIENT_ERROR ", text),
        ErrorReply::Server(text) => ("SERVER_ERROR ", text),
    };
    WireError::Refused(format!("{what}{}", String::from_utf8_lossy(text)))
}

impl From<BrokenReply> for WireError {
    fn from(error: BrokenReply) -> Self {
        Self::Broken(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_commands_are_spoken_from_the_version_on_that_has_them() {
        for version in ["1.6.10", "1.6.18", "1.6.38", "1.7", "1.10.0", "2", "1.6.21_beta1", "proxy"]
        {
            assert!(has_meta(version.as_bytes()), "{version}");
        }
        for version in ["1.4.15", "1.5.22", "1.6.0", "1.6.9", "1.6", "1.6.9-rc2", "0.1"] {
            assert!(!has_meta(version.as_bytes()), "{version}");
        }
    }
}
