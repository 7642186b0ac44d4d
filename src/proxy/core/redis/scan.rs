//! `SCAN` over all nodes, one after the other.

use super::Command;
use super::Step;
use super::frames::elements;
use super::frames::string;
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
        let cursor = match command.args.get(1) {
            Some(cursor) if router.nodes().len() > 1 => *cursor,
            // The cursors of an only node need no node in them; and without one the server says what is wrong.
            _ => {
                return match designated(router) {
                    Ok(node) => self.forward(sockets, key, node, command.raw, command.index),
                    Err(error) => self.say(key, command, &super::refusal(&error)),
                };
            }
        };
        let cursor = std::str::from_utf8(cursor).ok().and_then(|cursor| cursor.parse().ok());
        let next = cursor.and_then(|cursor| ScanCursor::decode(cursor, router));
        match next {
            // Redis's own words (7.0 `db.c` `parseScanCursorOrReply`).
            None => self.say(key, command, "ERR invalid cursor"),
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
        let Some(next) = (ScanCursor { node, own: 0 }).advance(own, router) else {
            return Ok(super::error_line("ERR the node's cursor has more than 52 bits"));
        };
        let mut out = b"*2\r\n".to_vec();
        write_bulk_string(&mut out, next.to_string().as_bytes());
        out.extend_from_slice(keys);
        Ok(out)
    }
}
