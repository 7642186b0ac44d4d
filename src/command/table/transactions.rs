//! Transactions: one node holds each.

use super::*;

pub(super) const ROWS: &[Row] = &[
    ("DISCARD", transaction(TransactionCommand::Discard)),
    ("EXEC", transaction(TransactionCommand::Exec)),
    ("MULTI", transaction(TransactionCommand::Multi)),
    ("UNWATCH", transaction(TransactionCommand::Unwatch)),
    ("WATCH", transaction(TransactionCommand::Watch).and_keys(KeySpec::range(1, -1, 1))),
];
