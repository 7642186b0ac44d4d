//! Requests of memcached clients.

use super::Core;
use super::Sockets;
use super::backend::Pending;
use super::backend::Purpose;
use super::sessions::Taken;
use super::ticket::Gathering;
use super::ticket::How;
use crate::node::NodeId;
use crate::plan::designated;
use crate::protocol::memcache::serving::Arrival;
use crate::protocol::memcache::serving::Command;
use crate::protocol::memcache::serving::Expected;
use crate::protocol::memcache::serving::Quiet;
use crate::protocol::memcache::serving::Request;
use crate::protocol::memcache::serving::Retrieve;
use crate::topology::Unroutable;

mod gather;
mod keys;

pub(super) use crate::protocol::memcache::serving::ReplyScanner as ReplyEnd;
pub(super) use gather::Retrieval;
pub(super) use gather::broken_values;
pub(super) use gather::gather;
pub(super) use keys::AskedKeys;

/// What a node was asked, as far as its reply depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One line; also all that Redis is asked.
    Line,
    /// The value of one key, which is so long: it stands with the backend.
    Value(u8),
    /// Values of so many keys.
    Values(u32),
    Meta(Option<Quiet>),
    Stats,
}

impl Asked {
    /// Whether the client may not want to see the reply.
    pub(super) fn may_be_hidden(self) -> bool {
        matches!(self, Self::Meta(Some(_)))
    }

    #[inline]
    pub(super) fn expected(self) -> Expected {
        match self {
            Self::Line => Expected::Line,
            Self::Value(_) | Self::Values(_) => Expected::Values,
            Self::Meta(_) => Expected::Meta,
            Self::Stats => Expected::Stats,
        }
    }
}

/// What the client is shown of a reply: all, or nothing if it wants none.
#[inline]
pub(super) fn shown(asked: Asked, reply: &[u8]) -> &[u8] {
    match asked {
        Asked::Meta(Some(quiet)) if quiet.hides(reply) => b"",
        _ => reply,
    }
}

/// The names of commands, for counters; what is not among them is the last.
pub(super) const NAMES: [&str; 27] = [
    "get",
    "gets",
    "gat",
    "gats",
    "set",
    "add",
    "replace",
    "append",
    "prepend",
    "cas",
    "delete",
    "incr",
    "decr",
    "touch",
    "mg",
    "ms",
    "md",
    "ma",
    "me",
    "mn",
    "version",
    "verbosity",
    "flush_all",
    "stats",
    "quit",
    "noreply",
    "unknown",
];
const UNKNOWN: u16 = NAMES.len() as u16 - 1;

/// The place of a command's name in [`NAMES`]; `line` begins with it.
#[inline]
fn index_of(line: &[u8]) -> u16 {
    let start = line.iter().position(|&byte| byte != b' ').unwrap_or(0);
    let line = &line[start..];
    let end = line.iter().position(|byte| b" \r\n".contains(byte)).unwrap_or(line.len());
    let name = &line[..end];
    let place = NAMES.iter().position(|other| other.as_bytes() == name);
    place.map_or(UNKNOWN, |place| place as u16)
}

impl Core {
    /// Takes the request at the start of `bytes`.
    #[inline]
    pub(super) fn take_memcache_request<'b>(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        bytes: &'b [u8],
        names: &mut Vec<&'b [u8]>,
    ) -> Taken {
        let request = match self.sessions[key].lines.read_with_keys(bytes, names) {
            Ok(Arrival::Whole(request)) => request,
            Ok(Arrival::Begun(request)) => return Taken::Needs(request.length),
            Ok(Arrival::Missing(count)) => return Taken::Needs(bytes.len() + count),
            Ok(Arrival::Refused { refusal, is_silent, length }) => {
                let line = if is_silent { b"" } else { refusal.line() };
                self.answer_now(key, UNKNOWN, line);
                let there = length.min(bytes.len());
                self.sessions[key].swallowed = length - there;
                return Taken::Bytes(there);
            }
            Err(broken) => {
                self.close_with(key, UNKNOWN, broken.line(), true);
                return Taken::Closed;
            }
        };
        let raw = &bytes[..request.length];
        if self.memcache_command(sockets, key, &request, raw, names) {
            Taken::Bytes(raw.len())
        } else {
            Taken::Stalled
        }
    }

    /// Carries out one request; false if it has to wait. `names` are the keys of a request for values.
    #[inline]
    fn memcache_command(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        request: &Request<'_>,
        raw: &[u8],
        names: &[&[u8]],
    ) -> bool {
        let index = index_of(raw);
        match &request.command {
            Command::Retrieve(retrieve) if retrieve.key_count == 1 => {
                let name = names.first().copied().unwrap_or_default();
                // No key is longer than memcached allows.
                let asked = u8::try_from(name.len()).map_or(Asked::Values(1), Asked::Value);
                self.send_on(sockets, key, name, request, raw, asked)
            }
            Command::Retrieve(retrieve) => self.retrieve(sockets, key, index, retrieve, names),
            Command::Store { key: name } | Command::Single { key: name } => {
                self.send_on(sockets, key, name, request, raw, Asked::Line)
            }
            Command::Meta(meta) => {
                let asked = Asked::Meta(meta.quiet);
                self.send_on(sockets, key, &meta.routing_key, request, raw, asked)
            }
            Command::MetaNoop => {
                self.answer_now(key, index, b"MN\r\n");
                true
            }
            Command::Quit => {
                self.close_with(key, index, b"", false);
                true
            }
            Command::Version => {
                match designated(self.pools[self.sessions[key].pool].snapshot.router()) {
                    Ok(node) => self.send_to(sockets, key, node, request, raw, Asked::Line),
                    Err(_) => self.refuse_unreachable(key, index),
                }
            }
            Command::FlushAll if !self.pools[self.sessions[key].pool].settings.admin_commands => {
                let line: &[u8] = if request.is_silent {
                    b""
                } else {
                    b"CLIENT_ERROR flush_all is not allowed in this pool (admin_commands)\r\n"
                };
                self.answer_now(key, index, line);
                true
            }
            Command::FlushAll | Command::Verbosity => {
                self.tell_all(sockets, key, index, request, raw, Asked::Line)
            }
            Command::Stats => self.tell_all(sockets, key, index, request, raw, Asked::Stats),
        }
    }

    /// Sends a request to the node of its key.
    #[inline]
    fn send_on(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        name: &[u8],
        request: &Request<'_>,
        raw: &[u8],
        asked: Asked,
    ) -> bool {
        let router = self.pools[self.sessions[key].pool].snapshot.router();
        match router.route(name) {
            Ok(node) => self.send_to_for(sockets, key, node, request, raw, asked, name),
            Err(_) if request.is_silent => true,
            Err(_) => self.refuse_unreachable(key, index_of(raw)),
        }
    }

    fn refuse_unreachable(&mut self, key: usize, index: u16) -> bool {
        self.answer_now(key, index, b"SERVER_ERROR Connection refused\r\n");
        true
    }

    /// Sends a request without a key to a node.
    fn send_to(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
        request: &Request<'_>,
        raw: &[u8],
        asked: Asked,
    ) -> bool {
        self.send_to_for(sockets, key, node, request, raw, asked, b"")
    }

    /// Sends a request to a node, in the form that has exactly one reply.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "they are what is known of the request")]
    fn send_to_for(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
        request: &Request<'_>,
        raw: &[u8],
        asked: Asked,
        name: &[u8],
    ) -> bool {
        let session = &self.sessions[key];
        let (pool, serial) = (session.pool, session.serial);
        let backend = self.shared_backend(pool, node, serial, false);
        if self.is_full(backend, key) {
            return false;
        }
        let mut changed = Vec::new();
        let sent = if request.is_verbatim() {
            raw
        } else {
            request.write_forward(raw, &mut changed);
            &changed
        };
        if request.is_silent {
            // What the node says to it is nobody's.
            self.pools[pool].counters.commands[usize::from(index_of(b"noreply"))].requests += 1;
            let pending = Pending::of_nobody(Purpose::Nothing, self.micros);
            // A request for a value is never silent.
            let pending = Pending { bytes: sent.len() as u32, asked, ..pending };
            if self.admit(sockets, backend).is_ok() {
                self.ask(sockets, backend, sent, pending);
            }
            return true;
        }
        let pending = self.issue(key, index_of(raw), Purpose::Whole, sent.len());
        let pending = Pending { asked, ..pending };
        match self.admit(sockets, backend) {
            Ok(()) => {
                if matches!(asked, Asked::Value(_)) {
                    self.backends[backend].asked_keys.push(name);
                }
                self.ask(sockets, backend, sent, pending);
            }
            Err(text) => self.fail(sockets, pending, &text),
        }
        true
    }

    /// Sends each node a request for its keys.
    fn retrieve(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        index: u16,
        retrieve: &Retrieve<'_>,
        names: &[&[u8]],
    ) -> bool {
        let session = &self.sessions[key];
        let (pool, serial) = (session.pool, session.serial);
        let view = &self.pools[pool];
        let mut retrieval = self.retrievals.pop().unwrap_or_default();
        let mut lost = false;
        view.snapshot.router().route_many(names.iter().copied(), |place, node| match node {
            Ok(node) => retrieval.add(names[place], node),
            Err(Unroutable::Ejected(_) | Unroutable::NoLiveNode) => lost = true,
        });
        if lost && !view.settings.failed_reads_are_misses {
            return self.refuse_unreachable(key, index);
        }
        if retrieval.nodes().is_empty() {
            self.answer_now(key, index, b"END\r\n");
            return true;
        }
        // Room that is used again: there are many such requests.
        let mut backends = std::mem::take(&mut self.split_backends);
        backends.clear();
        for &node in retrieval.nodes() {
            let backend = self.shared_backend(pool, node, serial, false);
            if self.is_full(backend, key) {
                return false;
            }
            backends.push(backend);
        }
        self.pools[pool].counters.fragments += backends.len() as u64;
        let pending = self.issue(key, index, Purpose::Nothing, 0);
        let mut failed = Vec::new();
        for (part, (&backend, keys)) in backends.iter().zip(retrieval.keys()).enumerate() {
            match self.admit(sockets, backend) {
                Ok(()) => {
                    let out = self.backends[backend].out.tail(&mut self.buffers);
                    let before = out.len();
                    retrieve.write_fragment(out, std::iter::once(keys.text()));
                    let bytes = (out.len() - before) as u32;
                    let purpose = Purpose::Part(part as u16);
                    let asked = Asked::Values(keys.len() as u32);
                    self.expect(backend, Pending { purpose, bytes, asked, ..pending });
                    self.mark_dirty(super::Link::Backend(backend));
                }
                Err(text) => failed.push((part, text)),
            }
        }
        self.split_backends = backends;
        let parts = Gathering::parts_of(retrieval.nodes().iter().copied());
        self.gather_for(key, &pending, Gathering::of(How::Values(retrieval), parts));
        self.fail_parts(sockets, &pending, failed);
        true
    }

    /// Sends a request to all nodes that are not ejected.
    fn tell_all(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        index: u16,
        request: &Request<'_>,
        raw: &[u8],
        asked: Asked,
    ) -> bool {
        let session = &self.sessions[key];
        let (pool, serial) = (session.pool, session.serial);
        let nodes: Vec<NodeId> = self.pools[pool].snapshot.router().live_nodes().collect();
        if let ([node], false) = (nodes.as_slice(), request.is_silent) {
            return self.send_to(sockets, key, *node, request, raw, asked);
        }
        let mut backends = Vec::with_capacity(nodes.len());
        for &node in &nodes {
            let backend = self.shared_backend(pool, node, serial, false);
            if self.is_full(backend, key) {
                return false;
            }
            backends.push(backend);
        }
        let mut sent = Vec::new();
        request.write_forward(raw, &mut sent);
        if request.is_silent {
            for backend in backends {
                let pending = Pending::of_nobody(Purpose::Nothing, self.micros);
                if self.admit(sockets, backend).is_ok() {
                    self.ask(sockets, backend, &sent, Pending { asked, ..pending });
                }
            }
            return true;
        }
        if nodes.is_empty() {
            return self.refuse_unreachable(key, index);
        }
        let pending = self.issue(key, index, Purpose::Nothing, sent.len());
        let how = if asked == Asked::Stats { How::Stats } else { How::Lines };
        self.gather_for(key, &pending, Gathering::new(how, nodes.into_iter()));
        let mut failed = Vec::new();
        for (part, &backend) in backends.iter().enumerate() {
            let purpose = Purpose::Part(part as u16);
            match self.admit(sockets, backend) {
                Ok(()) => {
                    self.ask(sockets, backend, &sent, Pending { purpose, asked, ..pending });
                }
                Err(text) => failed.push((part, text)),
            }
        }
        self.fail_parts(sockets, &pending, failed);
        true
    }
}
