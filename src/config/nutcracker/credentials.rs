//! What is said to a server so that it lets one in.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// A password for a server, and perhaps a user name.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCredentials {
    user: Option<String>,
    password: String,
}

impl ServerCredentials {
    pub(super) fn new(user: Option<&str>, password: &str) -> Self {
        Self { user: user.map(Into::into), password: password.into() }
    }

    /// Takes `user:password@` from the front of a line of `servers`, if it is there. The rest is a line
    /// as nutcracker has it.
    ///
    /// The last `@` before the name ends them: no host has one. Behind them the path of a unix socket may.
    pub(super) fn split(line: &str) -> Result<(Option<Self>, &str), &'static str> {
        let place = line.rsplit_once(' ').map_or(line, |(place, _)| place);
        let at = if place.starts_with('/') {
            None
        } else {
            place.find("@/").or_else(|| place.rfind('@'))
        };
        match at {
            None => Ok((None, line)),
            Some(at) => Ok((Some(Self::parse(&line[..at])?), &line[at + 1..])),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        if password.is_empty() {
            return Err(
                "has no password in \"user:password@hostname:port:weight [name]\" format string",
            );
        }
        let (Some(user), Some(password)) = (decoded(user), decoded(password)) else {
            return Err("has a user or a password that is not UTF-8 \
                        in \"user:password@hostname:port:weight [name]\" format string");
        };
        Ok(Self::new(Some(&*user).filter(|user| !user.is_empty()), &password))
    }

    /// The user name, if there is one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for ServerCredentials {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredentials")
            .field("user", &self.user)
            .field("password", &"redacted")
            .finish()
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_what_stands_before_the_last_at_sign() {
        let found = |user: &str, password| {
            Some(ServerCredentials::new(Some(user).filter(|user| !user.is_empty()), password))
        };
        for (line, credentials, rest) in [
            ("a:1:1", None, "a:1:1"),
            ("a:1:1 me@home", None, "a:1:1 me@home"),
            ("/run/a@b:1", None, "/run/a@b:1"),
            ("/run/a:b@c:1 d", None, "/run/a:b@c:1 d"),
            ("u:p@a:1:1 n", found("u", "p"), "a:1:1 n"),
            (":p@a:1:1", found("", "p"), "a:1:1"),
            ("u:p:q@r@::1:1:1", found("u", "p:q@r"), "::1:1:1"),
            ("u%3Ax:p%40%2f%20%25@a:1:1", found("u:x", "p@/ %"), "a:1:1"),
            ("u:50%off@a:1:1", found("u", "50%off"), "a:1:1"),
            ("u:p@/run/a@b:1 x@y", found("u", "p"), "/run/a@b:1 x@y"),
            ("é:ü@a:1:1", found("é", "ü"), "a:1:1"),
        ] {
            assert_eq!(ServerCredentials::split(line), Ok((credentials, rest)), "{line}");
        }
        for line in ["p@a:1:1", "u:@a:1:1", "@a:1:1", "u:%ff@a:1:1", "%c3:p@/a:1"] {
            assert!(ServerCredentials::split(line).is_err(), "{line}");
        }
    }
}
