//! HTTP/1.1, as much of it as scrapers and health checks speak: `GET` and `HEAD`, one request a connection.
//!
//! ```text
//!   bytes ── read ──► Request ── (the desk) ──► Reply ── to_bytes ──► bytes
//! ```
//!
//! Not here: sockets, and what is at which path. Bodies of requests are not read.

use std::fmt::Write;

/// The longest request line and headers that are read.
pub(super) const MAX_HEAD: usize = 8 * 1024;

/// A request that we may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// `HEAD`: the reply goes without its body.
    pub(super) is_head: bool,
    /// Without the query.
    pub(super) path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Fine,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

/// What goes back.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Request {
    /// Reads a request from what has arrived so far: `None` if more must come. Costs one look at each byte,
    /// each time.
    ///
    /// # Errors
    ///
    /// What to answer instead.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Status> {
        // A line break too many behind an earlier request is no fault (RFC 9112, 2.2).
        let start = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let head = bytes.get(start..).unwrap_or_default();
        // What is not text, such as the beginning of TLS, may never have an end of a line.
        if head.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            return Err(Status::BadRequest);
        }
        match end_of_head(head) {
            Some(end) if start + end <= MAX_HEAD => Self::parse(&head[..end]).map(Some),
            None if bytes.len() < MAX_HEAD => Ok(None),
            _ => Err(Status::HeadTooLarge),
        }
    }

    fn parse(head: &[u8]) -> Result<Self, Status> {
        let head = str::from_utf8(head).map_err(|_| Status::BadRequest)?;
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Status::BadRequest);
        };
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_header = |line: &str| line.split_once(':').is_some_and(|(name, _)| is_token(name));
        let is_version = version
            .strip_prefix("HTTP/1.")
            .is_some_and(|minor| minor.len() == 1 && minor.as_bytes()[0].is_ascii_digit());
        if !is_token(method) || !is_token(target) || !is_version {
            return Err(Status::BadRequest);
        }
        if !lines.filter(|line| !line.is_empty()).all(is_header) {
            return Err(Status::BadRequest);
        }
        if method != "GET" && method != "HEAD" {
            return Err(Status::MethodNotAllowed);
        }
        let path = path(target).ok_or(Status::BadRequest)?;
        Ok(Self { is_head: method == "HEAD", path: path.to_owned() })
    }
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Fine => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl From<Status> for Reply {
    /// The status once more, for people.
    fn from(status: Status) -> Self {
        Self::text(status, format!("{}\n", status.line()))
    }
}

impl Reply {
    pub(super) fn text(status: Status, body: String) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }

    /// As it goes out. Without its body in answer to `HEAD`, whose headers are those of `GET`.
    pub(super) fn to_bytes(&self, is_head: bool) -> Vec<u8> {
        let mut text = String::with_capacity(self.body.len() + 256);
        let (status, content_type, length) =
            (self.status.line(), self.content_type, self.body.len());
        write!(
            text,
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n"
        )
        .expect("a string takes everything");
        if self.status == Status::MethodNotAllowed {
            text.push_str("Allow: GET, HEAD\r\n");
        }
        text.push_str("\r\n");
        if !is_head {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

/// Where the empty line after the headers ends. Line breaks may lack their `\r`.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let mut last = breaks.next()?;
    for next in breaks {
        if matches!(&bytes[last + 1..next], [] | [b'\r']) {
            return Some(next + 1);
        }
        last = next;
    }
    None
}

/// The path in `/path?query` or in `http://host/path?query`, which proxies send.
fn path(target: &str) -> Option<&str> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => target.strip_prefix('/').map(|_| target)?,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(if path.is_empty() { "/" } else { path })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_reads(text: &str, is_head: bool, path: &str) {
        let request = Request { is_head, path: path.into() };
        assert_eq!(Request::read(text.as_bytes()), Ok(Some(request)), "{text:?}");
    }

    #[test]
    fn requests_of_all_kinds_of_clients_are_read() {
        assert_reads("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", false, "/metrics");
        assert_reads("GET /metrics?name=a HTTP/1.0\r\n\r\n", false, "/metrics");
        assert_reads("HEAD / HTTP/1.1\nHost: a\n\n", true, "/");
        assert_reads("\r\nGET /a HTTP/1.1\r\nA: b\r\nC:\r\n\r\nmore", false, "/a");
        assert_reads("GET http://127.0.0.1:9/stats?x HTTP/1.1\r\n\r\n", false, "/stats");
        assert_reads("GET http://127.0.0.1:9 HTTP/1.1\r\n\r\n", false, "/");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1 x\r\n\r\n", Status::BadRequest),
            ("GET  / HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET /\r\n\r\n", Status::BadRequest),
            ("GET metrics HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/2.0\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.é\r\n\r\n", Status::BadRequest),
            ("GET /\u{1} HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\n : a\r\n\r\n", Status::BadRequest),
            ("\u{16}\u{3}\u{1}", Status::BadRequest),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", Status::MethodNotAllowed),
            ("OPTIONS * HTTP/1.1\r\n\r\n", Status::MethodNotAllowed),
        ] {
            assert_eq!(Request::read(text.as_bytes()), Err(status), "{text:?}");
        }
        assert_eq!(Request::read(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(Status::BadRequest));
    }

    #[test]
    fn a_head_has_a_limit() {
        let head = |length: usize| {
            let start = "GET / HTTP/1.1\r\nA: ";
            format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4))
        };
        assert_reads(&head(MAX_HEAD), false, "/");
        assert_eq!(Request::read(head(MAX_HEAD + 1).as_bytes()), Err(Status::HeadTooLarge));
        assert_eq!(Request::read(&[b'a'; MAX_HEAD - 1]), Ok(None));
        assert_eq!(Request::read(&[b'a'; MAX_HEAD]), Err(Status::HeadTooLarge));
        assert_eq!(Request::read(&[b'\n'; MAX_HEAD]), Err(Status::HeadTooLarge));
    }

    #[test]
    fn a_reply_to_head_has_the_headers_of_get() {
        let reply = Reply::text(Status::Fine, "ok\n".into());
        let get = String::from_utf8(reply.to_bytes(false)).unwrap();
        let head = String::from_utf8(reply.to_bytes(true)).unwrap();
        assert_eq!(get, format!("{head}ok\n"));
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
        let refused = Reply::from(Status::MethodNotAllowed).to_bytes(false);
        assert!(refused.windows(18).any(|part| part == b"\r\nAllow: GET, HEAD"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[A-Z]{1,4} [/a:?#]{0,4}[ \r\n:]{0,3}\\PC{0,12}[\r\n]{0,4}") {
            let _ = Request::read(&bytes);
            let _ = Request::read(text.as_bytes());
        }

        #[test]
        fn a_request_is_there_when_its_last_byte_is(
            path in "/[a-z/]{0,8}",
            headers in proptest::collection::vec("[A-Za-z-]{1,6}: ?[ -~]{0,8}", 0..4),
        ) {
            let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            let text = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
            for end in 0..text.len() {
                prop_assert_eq!(Request::read(&text.as_bytes()[..end]), Ok(None));
            }
            let request = Request { is_head: false, path };
            prop_assert_eq!(Request::read(text.as_bytes()), Ok(Some(request)));
        }
    }
}
