//! What stands in front of `://`.

use super::Reason;

/// What a scheme means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `redis`, `rediss` and their Valkey names.
    Tcp { is_tls: bool },
    /// A unix socket.
    Unix,
    /// Several nodes.
    Shard { is_tls: bool },
}

const SCHEMES: [(&str, Scheme); 11] = [
    ("redis", Scheme::Tcp { is_tls: false }),
    ("rediss", Scheme::Tcp { is_tls: true }),
    ("valkey", Scheme::Tcp { is_tls: false }),
    ("valkeys", Scheme::Tcp { is_tls: true }),
    ("redis+unix", Scheme::Unix),
    ("valkey+unix", Scheme::Unix),
    ("unix", Scheme::Unix),
    ("redis+shard", Scheme::Shard { is_tls: false }),
    ("rediss+shard", Scheme::Shard { is_tls: true }),
    ("valkey+shard", Scheme::Shard { is_tls: false }),
    ("valkeys+shard", Scheme::Shard { is_tls: true }),
];

/// The scheme of `text` and what stands behind its colon, which begins with a slash. `None` if there
/// is no scheme.
pub(super) fn split(text: &str) -> Result<Option<(Scheme, &str)>, Reason> {
    split_of(&SCHEMES, text)
}

/// As [`split`], for other schemes.
pub(super) fn split_of<'t, S: Copy>(
    schemes: &[(&str, S)],
    text: &'t str,
) -> Result<Option<(S, &'t str)>, Reason> {
    let is_in_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let Some((name, rest)) = text.split_once(':') else { return Ok(None) };
    if name.is_empty() || !name.chars().all(is_in_scheme) || !rest.starts_with('/') {
        return Ok(None);
    }
    match schemes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, scheme)) => Ok(Some((*scheme, rest))),
        // Without a scheme this would be the beginning of a user name, or of a password.
        None if rest.contains('@') => {
            Err(format!("the scheme is not one of {}", names_of(schemes)))
        }
        None => Err(format!("scheme \"{name}\" is not one of {}", names_of(schemes))),
    }
}

/// The names of all schemes, for messages.
pub(super) fn names() -> String {
    names_of(&SCHEMES)
}

fn names_of<S>(schemes: &[(&str, S)]) -> String {
    schemes.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
