//! `SCAN` over all nodes, one after the other.
//!
//! ```text
//!   63        52 51        40 39                                0
//!   ┌───────────┬────────────┬───────────────────────────────────┐
//!   │ node id   │ seal       │ the node's own cursor             │
//!   └───────────┴────────────┴───────────────────────────────────┘
//! ```
//!
//! A cursor is [`ScanCursor`]'s, with a seal of the list of nodes: after a reload the same number may be another node,
//! and the nodes that are left to scan may be others. So it is with a list of one: the cursor of a server leads past keys
//! of another one.

use super::Command;
use super::Step;
use super::frames::elements;
use super::frames::string;
use crate::hash::HashFn;
use crate::hash::HashKind;
use crate::node::NodeId;
use crate::plan::designated;
use crate::plan::scan::Next;
use crate::plan::scan::ScanCursor;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;
use crate::proxy::core::Closed;
use crate::proxy::core::Core;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Pending;
use crate::proxy::core::backend::Purpose;
use crate::proxy::core::sessions::is_error;
use crate::topology::Router;

/// Bits of a node's own cursor: more than the entries of any table of Redis's.
const OWN_BITS: u32 = 40;
const SEAL_BITS: u32 = 12;
const SEAL: u64 = ((1 << SEAL_BITS) - 1) << OWN_BITS;
/// Of servers whose cursors are larger than Redis's: they set this bit, and an only node has them without a seal.
const WHOLE: u64 = 1 << 63;
const INVALID: &str = "ERR invalid cursor";
/// What is said of a cursor that was handed out when there were other nodes.
pub(in crate::proxy::core) const OUTDATED: &str =
    "ERR invalid cursor: the pool had other nodes when this scan began";

const NOTHING_LEFT: &[u8] = b"*2\r\n$1\r\n0\r\n*0\r\n";

impl Core {
    /// Goes on with a scan, on the node that its cursor names.
    pub(super) fn scan(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        command: Command<'_>,
    ) -> Step {
        let router = self.pools[self.sessions[key].pool].snapshot.router();
        let is_only = router.nodes().len() == 1;
        let number = |cursor: &[u8]| std::str::from_utf8(cursor).ok()?.parse::<u64>().ok();
        let cursor = match command.args.get(1) {
            Some(cursor) if !is_only || number(cursor).is_some() => *cursor,
            // A server says what is wrong.
            _ => {
                return match designated(router) {
                    Ok(node) => self.forward(sockets, key, node, command.raw, command.index),
                    Err(error) => self.say(key, command, &super::refusal(&error)),
                };
            }
        };
        let Some(cursor) = number(cursor) else {
            // Redis's own words (7.0 `db.c` `parseScanCursorOrReply`).
            return self.say(key, command, INVALID);
        };
        let is_whole = is_only && cursor & WHOLE != 0;
        if cursor != 0 && !is_whole && cursor & SEAL != seal(router) {
            return self.say(key, command, OUTDATED);
        }
        let next = if is_only {
            // Nobody else has its keys: if it is ejected, that is an error and not the end.
            let node = match designated(router) {
                Ok(node) => node,
                Err(error) => return self.say(key, command, &super::refusal(&error)),
            };
            let own = if is_whole { cursor } else { cursor & !SEAL };
            let is_own = is_whole || own < 1 << OWN_BITS;
            is_own.then_some(Next::Scan(ScanCursor { node, own }))
        } else {
            ScanCursor::decode(cursor & !SEAL, router)
        };
        match next {
            None => self.say(key, command, INVALID),
            Some(Next::Nothing) => self.reply(key, command, NOTHING_LEFT),
            Some(Next::Scan(scan)) => {
                let mut raw = Vec::with_capacity(command.raw.len() + 16);
                write_array_header(&mut raw, command.args.len());
                for (place, argument) in command.args.iter().enumerate() {
                    if place == 1 {
                        write_bulk_string(&mut raw, scan.own.to_string().as_bytes());
                    } else {
                        write_bulk_string(&mut raw, argument);
                    }
                }
                self.forward_for(sockets, key, scan.node, &raw, command.index, Purpose::Cursor)
            }
        }
    }

    /// Puts our cursor in the place of the node's.
    ///
    /// # Errors
    ///
    /// If the reply is none to a `SCAN`.
    pub(in crate::proxy::core) fn translate_cursor(
        &mut self,
        pending: &Pending,
        backend: usize,
        reply: &[u8],
    ) -> Result<Vec<u8>, Closed> {
        if is_error(reply) {
            return Ok(reply.to_vec());
        }
        let Some(session) = self.session_of(pending.session as usize, pending.serial) else {
            return Ok(Vec::new());
        };
        let pool = session.pool;
        let broken = || Closed::Broken("its reply is none to a SCAN".into());
        let mut parts = elements(reply).filter(|parts| parts.left() == 2).ok_or_else(broken)?;
        let own = parts.next().and_then(string).ok_or_else(broken)?;
        let own: u64 =
            std::str::from_utf8(own).ok().and_then(|own| own.parse().ok()).ok_or_else(broken)?;
        let keys = parts.next().ok_or_else(broken)?;
        // The node may have another number than when it was asked.
        let member = self.backends[backend].member.id();
        let place = self.pools[pool].nodes.iter().position(|node| node.member.id() == member);
        let Some(node) = place.and_then(NodeId::new) else {
            return Ok(super::error_line("ERR the node of this cursor is gone"));
        };
        let router = self.pools[pool].snapshot.router();
        if own & WHOLE != 0 && router.nodes().len() == 1 {
            return Ok(reply.to_vec());
        }
        let next = (ScanCursor { node, own: 0 }).advance(own, router);
        let Some(next) = next.filter(|next| next & SEAL == 0) else {
            return Ok(super::error_line("ERR the node's cursor has more than 40 bits"));
        };
        let next = if next == 0 { 0 } else { next | seal(router) };
        let mut out = b"*2\r\n".to_vec();
        write_bulk_string(&mut out, next.to_string().as_bytes());
        out.extend_from_slice(keys);
        Ok(out)
    }
}

/// A number of the nodes' names and addresses, in its place in a cursor; never 0.
fn seal(router: &Router) -> u64 {
    let mut all = Vec::new();
    for node in router.nodes() {
        for text in [node.name(), &node.address().to_string()] {
            all.extend_from_slice(text.as_bytes());
            all.push(0);
        }
    }
    let most = (1 << SEAL_BITS) - 1;
    (u64::from(HashKind::Fnv1_32.hash(&all)) % most + 1) << OWN_BITS
}
