//! The configuration file: read, judged, and its listening addresses resolved.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::log;
use super::tls::PoolTls;
use crate::config::Listen;
use crate::config::NutcrackerConfig;
use crate::config::PoolConfig;
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

/// What `-t` asks: as [`load`], and whatever else can be known to fail at the start without listening: addresses of
/// names in `listen`, what is in the way of unix sockets, files of TLS. Answers what will fail unless it is there by then.
///
/// # Errors
///
/// Why the file is invalid.
pub(super) fn test(path: &Path) -> Result<Vec<String>, String> {
    let config = load(path)?.0;
    let in_file = |reason: String| format!("{}: {reason}", path.display());
    let missing = test_pools(&config).map_err(in_file)?;
    Ok(missing.into_iter().map(in_file).collect())
}

fn test_pools(config: &NutcrackerConfig) -> Result<Vec<String>, String> {
    check_listeners(config)?;
    let mut missing = Vec::new();
    let mut taken: Vec<(SocketAddr, &PoolConfig)> = Vec::new();
    for pool in config.pools() {
        let listen = pool.listen();
        let complain =
            |reason: String| format!("{} has an invalid value: {reason}", pool.blame("listen"));
        match listen.address() {
            Address::Unix(path) => {
                let path: &Path = path.as_ref();
                check_socket_path(path).map_err(complain)?;
                // Whoever starts the service may make it: systemd does (RuntimeDirectory).
                if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
                    let directory = directory.display();
                    missing.push(format!(
                        "{}: there is no directory {directory}",
                        pool.blame("listen")
                    ));
                }
            }
            _ => {
                let found = addresses(listen).map_err(|error| {
                    let reason = log::reason(&error);
                    complain(format!("address resolution of '{listen}' failed: {reason}"))
                })?;
                // Where it will listen.
                let first = found[0];
                let is_in_the_way = |(taken, other): &&(SocketAddr, &PoolConfig)| {
                    overlaps(*taken, first) && !(other.reuseport() && pool.reuseport())
                };
                if let Some((taken, other)) = taken.iter().find(is_in_the_way) {
                    let other = other.name();
                    return Err(complain(format!("pool '{other}' listens on {taken} already")));
                }
                taken.push((first, pool));
            }
        }
        PoolTls::read(pool)?;
    }
    Ok(missing)
}

/// Whether one of two sockets that listen would be in the way of the other.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let is_either_all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && (one.ip() == other.ip() || is_either_all && one.is_ipv4() == other.is_ipv4())
}

fn check_socket_path(path: &Path) -> Result<(), String> {
    let directory = path.parent().unwrap_or(path);
    if directory.exists() && !directory.is_dir() {
        return Err(format!("{} is not a directory", directory.display()));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(format!("there is a file {}, and it is no socket", path.display()))
        }
        _ => Ok(()),
    }
}

/// Refuses two pools of one address. Their texts differ (`::1:22121` and `[::1]:22121`, or the mode of a unix socket):
/// nutcracker, and the parser, look at no more than these.
///
/// # Errors
///
/// Which pools they are.
pub(super) fn check_listeners(config: &NutcrackerConfig) -> Result<(), String> {
    let pools = config.pools();
    for (place, second) in pools.iter().enumerate() {
        let is_twin = |first: &&PoolConfig| first.listen().address() == second.listen().address();
        if let Some(first) = pools[..place].iter().find(is_twin) {
            let (first, second, listen) = (first.name(), second.name(), second.listen());
            return Err(format!(
                "pools '{first}' and '{second}' listen on the same address '{listen}'"
            ));
        }
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

/// What the bytes of a file say.
///
/// # Errors
///
/// Why they say nothing, with the place in the file.
pub(super) fn parse(bytes: &[u8]) -> Result<NutcrackerConfig, String> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: this is not UTF-8")
    })?;
    NutcrackerConfig::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        let error = parse(b"p:\n  listen: \xff\n").unwrap_err();
        assert_eq!(error, "line 2, column 11: this is not UTF-8");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load("/nonexistent.yml".as_ref()).unwrap_err();
        let text = "failed to open configuration '/nonexistent.yml': No such file or directory";
        assert_eq!(error, text);
    }

    #[test]
    fn two_pools_of_one_address_are_refused_however_it_is_written() {
        for [one, other] in [["::1:1", "'[::1]:1'"], ["/a", "/a 0600"]] {
            let pool =
                |name, listen| format!("{name}:\n  listen: {listen}\n  servers:\n   - a:1:1\n");
            let text = [pool("a", one), pool("b", other)].concat();
            let error = check_listeners(&parse(text.as_bytes()).unwrap()).unwrap_err();
            let other = other.trim_matches('\'');
            assert_eq!(error, format!("pools 'a' and 'b' listen on the same address '{other}'"));
        }
    }

    #[test]
    fn what_cannot_be_listened_on_is_told_with_its_line() {
        let name = format!("shardwright-{}-no-socket", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, "mine").unwrap();
        let file = file.to_str().unwrap();
        let pool = |name: &str, listen: &str| {
            format!("{name}:\n  listen: {listen}\n  servers:\n   - a:1:1\n")
        };
        let verdict = |listens: [&str; 2]| {
            let text = [pool("a", listens[0]), pool("b", listens[1])].concat();
            test_pools(&parse(text.as_bytes()).unwrap())
        };
        for (other, reason) in [
            (&*format!("{file}/a.sock"), format!("{file} is not a directory")),
            (file, format!("there is a file {file}, and it is no socket")),
            ("localhost:1", "pool 'a' listens on 127.0.0.1:1 already".to_owned()),
            ("0.0.0.0:1", "pool 'a' listens on 127.0.0.1:1 already".to_owned()),
            ("'[127.0.0.1]:1'", "pools 'a' and 'b'".to_owned()),
        ] {
            let error = verdict(["127.0.0.1:1", other]).unwrap_err();
            let expected =
                "line 6, column 3: pool 'b': directive \"listen\" has an invalid value: ";
            assert!(
                error == format!("{expected}{reason}") || error.starts_with(&reason),
                "{error}"
            );
        }
        let socket = std::env::temp_dir().join("a.sock");
        for other in ["127.0.0.2:1", "127.0.0.1:2", socket.to_str().unwrap()] {
            assert_eq!(verdict(["127.0.0.1:1", other]), Ok(Vec::new()));
        }
        let missing =
            "line 6, column 3: pool 'b': directive \"listen\": there is no directory /nonexistent";
        assert_eq!(verdict(["127.0.0.1:1", "/nonexistent/a.sock"]), Ok(vec![missing.to_owned()]));
        fs::remove_file(file).unwrap();
    }
}
