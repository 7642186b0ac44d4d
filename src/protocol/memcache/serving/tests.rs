mod replies;
mod requests;

/// Bytes as text, so that a failure can be read.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
