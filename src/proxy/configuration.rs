//! The configuration file: read, judged, and its listening addresses resolved.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::Path;

use super::log;
use super::tls::PoolTls;
use crate::config::Listen;
use crate::config::NutcrackerConfig;
use crate::node::Address;

/// Reads the file: what it says, and its bytes.
///
/// # Errors
///
/// Why not, with the name of the file and, if it could be read, the place in it.
pub(super) fn load(path: &Path) -> Result<(NutcrackerConfig, Vec<u8>), String> {
    let bytes = fs::read(path).map_err(|error| {
        format!("failed to open configuration '{}': {}", path.display(), log::reason(&error))
    })?;
    let config = parse(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok((config, bytes))
}

/// What `-t` asks: as [`load`], and names in `listen` must have addresses, and the files of TLS what they should.
///
/// # Errors
///
/// Why the file is invalid.
pub(super) fn test(path: &Path) -> Result<(), String> {
    for pool in load(path)?.0.pools() {
        addresses(pool.listen()).map_err(|error| {
            let (name, listen) = (pool.name(), pool.listen());
            let (path, reason) = (path.display(), log::reason(&error));
            format!(
                "{path}: pool '{name}': directive \"listen\" has an invalid value: \
                 address resolution of '{listen}' failed: {reason}"
            )
        })?;
        PoolTls::read(pool).map_err(|reason| format!("{}: {reason}", path.display()))?;
    }
    Ok(())
}

/// The addresses of a name in `listen`, of which nutcracker takes the first; none of a unix socket.
///
/// # Errors
///
/// When the name has none. A resolver may take its time.
pub(super) fn addresses(listen: &Listen) -> io::Result<Vec<SocketAddr>> {
    let Address::Tcp { host, port } = listen.address() else { return Ok(Vec::new()) };
    let found = (&**host, *port).to_socket_addrs()?.collect::<Vec<_>>();
    if found.is_empty() {
        return Err(io::Error::other("no address"));
    }
    Ok(found)
}

fn parse(bytes: &[u8]) -> Result<NutcrackerConfig, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line}: this is not UTF-8")
    })?;
    NutcrackerConfig::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        let error = parse(b"p:\n  listen: \xff\n").unwrap_err();
        assert_eq!(error, "line 2: this is not UTF-8");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load("/nonexistent.yml".as_ref()).unwrap_err();
        let text = "failed to open configuration '/nonexistent.yml': No such file or directory";
        assert_eq!(error, text);
    }
}
