//! How a transaction begins on a node: with a `MULTI` by itself. What follows would be carried out one by one if the
//! node refused it.

use super::Transaction;
use crate::node::NodeId;
use crate::proxy::core::Closed;
use crate::proxy::core::Core;
use crate::proxy::core::Sockets;
use crate::proxy::core::backend::Pending;
use crate::proxy::core::backend::Purpose;
use crate::proxy::core::redis::Mode;
use crate::proxy::core::redis::Step;
use crate::proxy::core::sessions::is_error;
use crate::proxy::reply;
use crate::proxy::settings::Protocol;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";

impl Core {
    /// As [`place_transaction`](Self::place_transaction); on a connection that is new for this transaction it begins,
    /// and the command waits until the node has agreed.
    pub(super) fn begin_on(
        &mut self,
        sockets: &mut impl Sockets,
        key: usize,
        node: NodeId,
    ) -> Result<Option<usize>, Step> {
        let was_placed = match self.sessions[key].mode.as_deref() {
            Some(Mode::Transaction(transaction)) => transaction.place.is_some(),
            _ => false,
        };
        let Some(backend) = self.place_transaction(key, node)? else {
            return Ok(None);
        };
        if was_placed {
            return Ok(Some(backend));
        }
        if let Err(text) = self.admit(sockets, backend) {
            // Nothing may be carried out by itself that was to be part of a transaction.
            self.refuse_to_begin(key, reply::error(Protocol::Redis, &text));
            self.lose_own_backend(sockets, backend);
            return Ok(None);
        }
        let serial = self.sessions[key].serial;
        let pending = Pending::of_nobody(Purpose::Begin, self.micros);
        self.ask(sockets, backend, MULTI, Pending { session: key as u32, serial, ..pending });
        if let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut() {
            transaction.is_beginning = true;
        }
        Err(Step::Stalled)
    }

    /// The node has answered a `MULTI` of which the client was told before that it is carried out. If the node
    /// agrees, it gets what the client was told that it is queued, and the client goes on.
    ///
    /// # Errors
    ///
    /// If the reply is none to a `MULTI`.
    pub(in crate::proxy::core) fn take_beginning(
        &mut self,
        sockets: &mut impl Sockets,
        backend: usize,
        pending: &Pending,
        reply: &[u8],
    ) -> Result<(), Closed> {
        let key = pending.session as usize;
        let Some(session) = self.session_of(key, pending.serial) else {
            return Ok(());
        };
        let Some(Mode::Transaction(transaction)) = session.mode.as_deref_mut() else {
            return Ok(());
        };
        if is_error(reply) {
            self.refuse_to_begin(key, reply.to_vec());
            self.backends[backend].owner = None;
            self.drop_backend(sockets, backend);
            return Ok(());
        }
        if reply != b"+OK\r\n" {
            return Err(Closed::Broken("its reply is none to a MULTI".into()));
        }
        transaction.is_beginning = false;
        for command in std::mem::take(&mut transaction.early) {
            let pending = Pending::of_nobody(Purpose::Nothing, self.micros);
            self.ask(sockets, backend, &command, pending);
        }
        self.wake(key);
        Ok(())
    }

    /// No transaction begins on the node: the client, which believes that it is in the middle of one, gets `error` to
    /// each of its commands, and nothing is carried out.
    pub(in crate::proxy::core) fn refuse_to_begin(&mut self, key: usize, error: Vec<u8>) {
        if let Some(Mode::Transaction(transaction)) = self.sessions[key].mode.as_deref_mut() {
            *transaction = Transaction {
                is_multi: true,
                is_spoiled: true,
                is_lost: true,
                refusal: Some(error),
                ..Transaction::default()
            };
        }
        self.wake(key);
    }

    /// The node has answered the client's own `MULTI`, behind a `WATCH`. If it refuses, there is no transaction, as
    /// in Redis; what follows has waited.
    pub(in crate::proxy::core) fn take_multi(&mut self, pending: &Pending, reply: &[u8]) {
        if is_error(reply)
            && let Some(session) = self.session_of(pending.session as usize, pending.serial)
            && let Some(Mode::Transaction(transaction)) = session.mode.as_deref_mut()
        {
            transaction.is_multi = false;
        }
    }
}
