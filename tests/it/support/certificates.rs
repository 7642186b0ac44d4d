//! Certificates, made by openssl.

use std::path::Path;
use std::process::Command;

/// Makes `ca.crt`, and signed by it `node.crt`, which is for `names` (`DNS:localhost,IP:127.0.0.1`), and
/// `client.crt`, in `directory`; their keys are `ca.key` and so on.
pub fn make(directory: &Path, names: &str) {
    std::fs::write(directory.join("names"), format!("subjectAltName={names}")).unwrap();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let sign = "x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2";
    for line in [
        format!("{new} -x509 -keyout ca.key -out ca.crt -subj /CN=root"),
        format!("{new} -keyout node.key -out node.csr -subj /CN=localhost"),
        format!("{sign} -in node.csr -extfile names -out node.crt"),
        format!("{new} -keyout client.key -out client.csr -subj /CN=client"),
        // With an extension it is of version 3, and rustls reads no other.
        format!("{sign} -in client.csr -extfile names -out client.crt"),
    ] {
        openssl(directory, &line);
    }
}

/// Makes `expired.crt` beside these, which is as `node.crt` was until yesterday.
pub fn make_expired(directory: &Path) {
    let sign = "x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days -1";
    openssl(directory, &format!("{sign} -in node.csr -extfile names -out expired.crt"));
}

fn openssl(directory: &Path, line: &str) {
    let output =
        Command::new("openssl").args(line.split(' ')).current_dir(directory).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
}
