//! What a reload has changed in a pool, for the log.

use crate::config::PoolConfig;

/// Names the directives that differ between two configurations of a pool, without what they say: that may be a password.
pub(super) fn changed_directives(old: &PoolConfig, new: &PoolConfig) -> Vec<&'static str> {
    let mut names: Vec<_> = comparisons()
        .into_iter()
        .filter(|(_, is_same)| !is_same(old, new))
        .map(|(name, _)| name)
        .collect();
    // The others come down to the nodes as well.
    let said_to_nodes = ["redis_auth", "server_auth", "server_user"];
    let is_said = said_to_nodes.iter().any(|name| names.contains(name));
    let is_same = old.servers() == new.servers()
        && (is_said || old.server_credentials() == new.server_credentials());
    if !is_same {
        names.push("servers");
    }
    names
}

/// A directive, and whether two pools have the same one.
type Comparison = (&'static str, fn(&PoolConfig, &PoolConfig) -> bool);

/// All but `servers`.
fn comparisons() -> Vec<Comparison> {
    macro_rules! same {
        ($($name:ident),* $(,)?) => {
            vec![$((stringify!($name), |old, new| old.$name() == new.$name())),*]
        };
    }
    let mut comparisons: Vec<Comparison> = same![
        listen,
        hash,
        hash_tag,
        distribution,
        timeout,
        backlog,
        client_connections,
        redis,
        redis_auth,
        redis_db,
        tcpkeepalive,
        reuseport,
        preconnect,
        auto_eject_hosts,
        server_connections,
        server_retry_timeout,
        server_failure_limit,
        admin_commands,
        client_idle_timeout,
        failed_reads,
        listen_tls_cert,
        listen_tls_key,
        listen_tls_client_ca,
        server_auth,
        server_user,
        server_tls,
        server_tls_ca,
        server_tls_cert,
        server_tls_key,
        server_tls_name,
    ];
    comparisons.push(("eject_mode", |old, new| {
        // It is off without the other, which is named then.
        old.auto_eject_hosts() != new.auto_eject_hosts() || old.eject_mode() == new.eject_mode()
    }));
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NutcrackerConfig;

    fn changes(old: &[&str], new: &[&str]) -> Vec<&'static str> {
        let [old, new] = [old, new].map(|lines| {
            let is_own = |name: &str| lines.iter().any(|line| line.starts_with(name));
            let mut text = "p:\n".to_owned();
            for line in lines {
                text.push_str(&format!("  {line}\n"));
            }
            if !is_own("listen:") {
                text.push_str("  listen: 127.0.0.1:1\n");
            }
            if !is_own("servers:") {
                text.push_str("  servers:\n   - a:1:1\n");
            }
            NutcrackerConfig::parse(&text).unwrap()
        });
        changed_directives(&old.pools()[0], &new.pools()[0])
    }

    /// As the configuration names them.
    fn directives() -> Vec<&'static str> {
        let source = include_str!("../config/nutcracker/draft.rs");
        let names = source.lines().filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix('"')?.split_once('"')?;
            (rest.starts_with(" => once(") || rest.starts_with(" => server(")).then_some(name)
        });
        names.collect()
    }

    #[test]
    fn every_directive_that_changes_is_named_and_no_other() {
        let with_auth = ["redis: true", "redis_auth: a"];
        let with_tls = ["server_tls: true", "server_tls_cert: a", "server_tls_key: a"];
        let listen_tls = ["listen_tls_cert: a", "listen_tls_key: a"];
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &["listen: 127.0.0.1:2"]),
            (&[], &["hash: md5"]),
            (&[], &["hash_tag: '{}'"]),
            (&[], &["distribution: modula"]),
            (&[], &["timeout: 400"]),
            (&["timeout: 400"], &["timeout: 500"]),
            (&[], &["backlog: 400"]),
            (&[], &["client_connections: 400"]),
            (&[], &["redis: true"]),
            (&["redis: true"], &with_auth),
            (&["redis: true"], &["redis: true", "redis_db: 3"]),
            (&[], &["tcpkeepalive: true"]),
            (&[], &["reuseport: true"]),
            (&[], &["preconnect: true"]),
            (&[], &["auto_eject_hosts: true"]),
            (&[], &["server_connections: 4"]),
            (&[], &["server_retry_timeout: 4"]),
            (&[], &["server_failure_limit: 4"]),
            (&[], &["admin_commands: true"]),
            (&[], &["client_idle_timeout: 4"]),
            (&["auto_eject_hosts: true"], &["auto_eject_hosts: true", "eject_mode: successor"]),
            (&[], &["failed_reads: miss"]),
            (&listen_tls, &["listen_tls_cert: b", "listen_tls_key: a"]),
            (&listen_tls, &["listen_tls_cert: a", "listen_tls_key: b"]),
            (&listen_tls, &["listen_tls_cert: a", "listen_tls_key: a", "listen_tls_client_ca: a"]),
            (&with_auth, &["redis: true", "redis_auth: a", "server_auth: b"]),
            (&with_auth, &["redis: true", "redis_auth: a", "server_user: b"]),
            (&[], &["server_tls: true"]),
            (&["server_tls: true"], &["server_tls: true", "server_tls_ca: a"]),
            (&with_tls, &["server_tls: true", "server_tls_cert: b", "server_tls_key: a"]),
            (&with_tls, &["server_tls: true", "server_tls_cert: a", "server_tls_key: b"]),
            (&["server_tls: true"], &["server_tls: true", "server_tls_name: a"]),
            (&[], &["servers:\n   - b:1:1"]),
        ];
        let mut seen = Vec::new();
        for (old, new) in cases {
            assert_eq!(changes(old, old), [""; 0]);
            let changed = new.iter().find(|line| !old.contains(line)).unwrap();
            assert_eq!(changes(old, new), [changed.split(':').next().unwrap()]);
            seen.extend(changes(old, new));
        }
        for directive in directives() {
            assert!(seen.contains(&directive), "{directive}");
        }
    }

    #[test]
    fn a_password_of_one_server_is_a_change_of_the_servers() {
        let [old, new] = ["a", "b"].map(|password| format!("servers:\n   - ':{password}@a:1:1'"));
        let changes = changes(&["redis: true", &old], &["redis: true", &new]);
        assert_eq!(changes, ["servers"]);
    }
}
