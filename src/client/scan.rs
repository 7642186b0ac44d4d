//! `SCAN` over all nodes, one after the other: what is asked, and what is handed out.

use redis::RedisResult;
use redis::Value;

use super::dispatch::refused;
use super::wire::error_value;
use crate::error::ShardError;
use crate::node::NodeId;
use crate::plan::BrokenReply;
use crate::plan::designated;
use crate::plan::scan::Next;
use crate::plan::scan::ScanCursor;
use crate::topology::Router;

/// What a `SCAN` comes to.
pub(super) enum ScanStep {
    /// The command goes to this node as it is.
    Forward(NodeId),
    /// No node is asked.
    Done(Value),
    /// This node is asked, with this cursor of its own.
    Scan(ScanCursor),
}

/// Why there is no reply to a `SCAN`.
pub(super) enum ScanFailed {
    Refused(ShardError),
    Broken(BrokenReply),
}

/// Tells where the scan `args` goes on.
///
/// # Errors
///
/// If every node is ejected.
pub(super) fn begin_scan(args: &[&[u8]], router: &Router) -> RedisResult<ScanStep> {
    let cursor = match args.get(1) {
        Some(cursor) if router.nodes().len() > 1 => *cursor,
        // The one node's own cursors need no node in them; without any the server says what is wrong.
        _ => return Ok(ScanStep::Forward(designated(router)?)),
    };
    let Some(cursor) = std::str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse().ok())
    else {
        // No node may be asked: what is no number here may be one there (Redis 7.0 reads "-1" and ""),
        // and the reply would be a scan of that node alone.
        return Ok(ScanStep::Done(invalid_cursor()));
    };
    if router.live_nodes().next().is_none() {
        return Err(crate::plan::no_live_node().into());
    }
    Ok(match ScanCursor::decode(cursor, router) {
        Some(Next::Scan(scan)) => ScanStep::Scan(scan),
        Some(Next::Nothing) => ScanStep::Done(nothing_left()),
        None => ScanStep::Done(invalid_cursor()),
    })
}

/// Puts our cursor in the place of the node's.
///
/// # Errors
///
/// If the reply is none to a `SCAN`, or its cursor does not fit into ours.
pub(super) fn end_scan(
    scan: ScanCursor,
    reply: Value,
    name: &[u8],
    router: &Router,
) -> Result<Value, ScanFailed> {
    match reply {
        Value::ServerError(_) => Ok(reply),
        Value::Array(mut parts) if parts.len() == 2 => {
            let own = parts.first().and_then(as_cursor);
            let next = own.and_then(|own| scan.advance(own, router));
            let Some(next) = next else {
                let why = "the node's cursor has more than 52 bits";
                return Err(ScanFailed::Refused(refused(name, why)));
            };
            parts[0] = Value::BulkString(next.to_string().into_bytes());
            Ok(Value::Array(parts))
        }
        _ => Err(ScanFailed::Broken(BrokenReply { node: scan.node })),
    }
}

/// The end of a scan.
fn nothing_left() -> Value {
    Value::Array(vec![Value::BulkString(b"0".to_vec()), Value::Array(Vec::new())])
}

/// Redis's own words (7.0 `db.c` `parseScanCursorOrReply`).
fn invalid_cursor() -> Value {
    error_value("ERR invalid cursor")
}

fn as_cursor(reply: &Value) -> Option<u64> {
    match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
