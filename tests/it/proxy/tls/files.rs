//! Files that are missing or wrong.

use std::fs;

use super::Certificates;
use crate::support::certificates;
use crate::support::proxy::Program;
use crate::support::within;

/// How the proxy ends with this configuration, in the directory of the certificates, and what it says.
fn end(certificates: &Certificates, arguments: &[&str]) -> (Option<i32>, String) {
    let log = fs::File::create(certificates.path("log")).unwrap();
    let mut child = Program::Ours
        .command()
        .args(["-c", "p.yml", "-s", "1", "-a", "127.0.0.1"])
        .args(arguments)
        .current_dir(&certificates.directory)
        .stderr(log)
        .spawn()
        .unwrap();
    let mut status = None;
    within(std::time::Duration::from_secs(20), "the proxy ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let text = fs::read_to_string(certificates.path("log")).unwrap();
    (status.and_then(|status| status.code()), text)
}

#[test]
fn a_file_that_is_missing_or_wrong_is_named_by_the_start_and_by_the_test() {
    let Some(certificates) = Certificates::make() else { return };
    certificates::make_expired(&certificates.directory);
    let write = |name: &str, text: &str| fs::write(certificates.path(name), text).unwrap();
    write("empty", "");
    write("torn", "-----BEGIN PRIVATE KEY-----\nS3cr3t\n");
    write("garbage", "-----BEGIN CERTIFICATE-----\nUzNjcjN0\n-----END CERTIFICATE-----\n");
    let server = "server_tls: true\n  server_tls_ca: ";
    let own = "server_tls: true\n  server_tls_ca: ca.crt\n  server_tls_cert: ";
    let listen = "listen_tls_cert: ";
    for (lines, directive, reason) in [
        (
            format!("{server}absent"),
            "server_tls_ca",
            "cannot read absent: No such file or directory",
        ),
        (format!("{server}empty"), "server_tls_ca", "there is no certificate in empty"),
        (format!("{server}ca.key"), "server_tls_ca", "there is no certificate in ca.key"),
        (format!("{server}garbage"), "server_tls_ca", "garbage: "),
        (
            format!("{server}ca.crt\n  server_tls_name: a..b"),
            "server_tls_name",
            "no certificate can be for 'a..b'",
        ),
        (
            format!("{own}absent\n  server_tls_key: node.key"),
            "server_tls_cert",
            "cannot read absent: ",
        ),
        (
            format!("{own}node.crt\n  server_tls_key: client.key"),
            "server_tls_key",
            "client.key is not the key to node.crt",
        ),
        (
            format!("{listen}node.crt\n  listen_tls_key: torn"),
            "listen_tls_key",
            "torn is not in PEM",
        ),
        (
            format!("{listen}node.crt\n  listen_tls_key: node.crt"),
            "listen_tls_key",
            "there is no private key in node.crt",
        ),
        (format!("{listen}garbage\n  listen_tls_key: node.key"), "listen_tls_cert", "garbage: "),
        (
            format!("{listen}node.crt\n  listen_tls_key: node.key\n  listen_tls_client_ca: empty"),
            "listen_tls_client_ca",
            "there is no certificate in empty",
        ),
    ] {
        let port = crate::support::free_port();
        let text = format!(
            "alpha:\n  listen: 127.0.0.1:{port}\n  redis: true\n  {lines}\n  \
             servers:\n   - 127.0.0.1:1:1\n"
        );
        write("p.yml", &text);
        let expected = format!("pool 'alpha': directive \"{directive}\": {reason}");
        for arguments in [&["-t"][..], &[]] {
            let (code, text) = end(&certificates, arguments);
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains(&expected), "{text}, not {expected}");
            assert!(!text.contains("S3cr3t"), "{text}");
        }
    }
}
