//! What a proxy reads: requests of memcached's clients, ends of its replies, and lines typed to a Redis.

use crate::protocol::memcache::BrokenReply;
use crate::protocol::memcache::serving::Arrival;
use crate::protocol::memcache::serving::Command;
use crate::protocol::memcache::serving::Expected;
use crate::protocol::memcache::serving::ReplyScanner;
use crate::protocol::memcache::serving::Request;
use crate::protocol::memcache::serving::RequestScanner;
use crate::protocol::memcache::serving::Values;
use crate::protocol::memcache::serving::is_error;
use crate::protocol::resp::inline;

const EXPECTED: [Expected; 4] = [Expected::Line, Expected::Values, Expected::Meta, Expected::Stats];

/// Requests in `bytes` are the same whether they come at once or cut into pieces, `sizes` being the lengths
/// of these; and what is sent on for one is one request that has a reply, for the same key.
pub fn memcache_requests(bytes: &[u8], sizes: &[u8]) {
    assert_eq!(arrivals(bytes, sizes), arrivals(bytes, &[]), "cut into {sizes:?}");
}

/// What is read of `bytes`, and how long it is.
fn arrivals(bytes: &[u8], sizes: &[u8]) -> Vec<(String, usize)> {
    let mut scanner = RequestScanner::default();
    let (mut start, mut end, mut said) = (0, 0usize, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        end = sizes.next().map_or(bytes.len(), |&size| bytes.len().min(end + usize::from(size)));
        // A value that is passed over may end behind what has arrived.
        while start < end {
            let arrived = &bytes[start..end];
            let length = match scanner.read(arrived) {
                Ok(Arrival::Whole(request)) => {
                    said.push((sent(&request, &arrived[..request.length]), request.length));
                    request.length
                }
                Ok(Arrival::Begun(request)) => {
                    assert!(request.length > arrived.len(), "a whole value is on its way");
                    break;
                }
                Ok(Arrival::Missing(count)) => {
                    assert!(count > 0, "nothing is missing of a cut request");
                    break;
                }
                Ok(Arrival::Refused { refusal, is_silent, length }) => {
                    said.push((format!("{refusal:?} {is_silent}"), length));
                    length
                }
                Err(broken) => {
                    said.push((format!("{broken:?}"), 0));
                    return said;
                }
            };
            assert!(length > 0, "a request has no bytes");
            start = start.saturating_add(length);
        }
        if end == bytes.len() {
            return said;
        }
    }
}

/// What is sent on for a request. It is read as a request for the same, that has a reply.
fn sent(request: &Request<'_>, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    request.write_forward(bytes, &mut out);
    assert!(!request.is_verbatim() || out == bytes);
    let Ok(Arrival::Whole(again)) = RequestScanner::default().read(&out) else {
        panic!("no request: {}", out.escape_ascii());
    };
    assert!(again.length == out.len() && again.is_verbatim() && !again.is_silent);
    match (&request.command, &again.command) {
        (Command::Store { key }, Command::Store { key: other })
        | (Command::Single { key }, Command::Single { key: other }) => assert_eq!(key, other),
        (Command::Meta(meta), Command::Meta(other)) => {
            assert_eq!((meta.name, meta.key), (other.name, other.key));
            assert_eq!(meta.routing_key, other.routing_key);
            assert_eq!(other.quiet, None);
        }
        (Command::Retrieve(retrieve), Command::Retrieve(other)) => {
            assert!(retrieve.keys().eq(other.keys()));
            let mut fragment = Vec::new();
            retrieve.write_fragment(&mut fragment, retrieve.keys());
            let Ok(Arrival::Whole(Request { command: Command::Retrieve(other), .. })) =
                RequestScanner::default().read(&fragment)
            else {
                panic!("no fragment: {}", fragment.escape_ascii());
            };
            assert!(retrieve.keys().eq(other.keys()));
            assert_eq!(retrieve.keys().count(), retrieve.key_count);
            assert_eq!((retrieve.name, retrieve.expiration), (other.name, other.expiration));
        }
        (ours, other) => assert_eq!(format!("{ours:?}"), format!("{other:?}")),
    }
    out.escape_ascii().to_string()
}

/// Replies of memcached's in `bytes` have the same ends whether they come at once or cut into pieces, `sizes`
/// being the lengths of these, and whether they are sent on as they come. `expected` says what was asked.
pub fn memcache_reply_ends(expected: u8, bytes: &[u8], sizes: &[u8]) {
    let expected = EXPECTED[usize::from(expected) % EXPECTED.len()];
    let whole = ends(expected, bytes, &[], false);
    assert_eq!(ends(expected, bytes, sizes, false), whole, "cut into {sizes:?}");
    assert_eq!(ends(expected, bytes, sizes, true), whole, "sent on in {sizes:?}");
    let mut rest = bytes;
    for length in whole.0 {
        let (reply, behind) = rest.split_at(length);
        rest = behind;
        let mut values = Values::new(reply);
        let blocks: usize = values.by_ref().map(|(_, block)| block.len()).sum();
        assert_eq!(blocks + values.rest().len(), length);
        if expected == Expected::Values {
            assert!(values.rest() == b"END\r\n" || is_error(values.rest()));
        }
    }
    Values::new(rest).for_each(drop);
}

/// The lengths of the replies in `bytes`, and what is wrong with the rest.
fn ends(
    expected: Expected,
    bytes: &[u8],
    sizes: &[u8],
    is_sent_on: bool,
) -> (Vec<usize>, Option<BrokenReply>) {
    let mut scanner = ReplyScanner::default();
    // Where the reply begins, and what has not been sent on of it.
    let (mut reply, mut start, mut end, mut lengths) = (0, 0, 0usize, Vec::new());
    let mut sizes = sizes.iter();
    loop {
        end = sizes.next().map_or(bytes.len(), |&size| bytes.len().min(end + usize::from(size)));
        loop {
            match scanner.scan(expected, &bytes[start..end]) {
                Ok(Some(length)) => {
                    start += length;
                    assert!((1..=end).contains(&start) && start > reply, "a reply has no bytes");
                    lengths.push(start - reply);
                    reply = start;
                }
                Ok(None) => break,
                Err(broken) => return (lengths, Some(broken)),
            }
        }
        let arrived = &bytes[start..end];
        assert!(scanner.missing(expected, arrived) > 0, "nothing is missing of a cut reply");
        if is_sent_on {
            let known = scanner.known(arrived);
            scanner.take(known);
            start += known;
        }
        if end == bytes.len() {
            return (lengths, None);
        }
    }
}

/// The line at the start of `bytes` is read or refused, whatever follows it; and the same words, all in
/// quotes, are read as the same words.
pub fn inline_command(bytes: &[u8]) {
    let whole = inline(bytes);
    let line = bytes.iter().position(|&byte| byte == b'\n');
    match &whole {
        Ok(Some((words, length))) => {
            assert_eq!(Some(length - 1), line);
            assert_eq!(inline(&bytes[..*length]), whole);
            assert_eq!(inline(&bytes[..length - 1]), Ok(None));
            let quoted = words.iter().map(|word| {
                let bytes = word.iter().map(|byte| format!("\\x{byte:02x}"));
                format!("\"{}\"", bytes.collect::<String>())
            });
            let quoted = quoted.collect::<Vec<_>>().join(" ") + "\r\n";
            // Written so, it may be longer than a line can be.
            if quoted.len() <= 64 << 10 {
                assert_eq!(inline(quoted.as_bytes()), Ok(Some((words.clone(), quoted.len()))));
            }
        }
        Ok(None) => assert_eq!(line, None),
        Err(_) => {}
    }
}
