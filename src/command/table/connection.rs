//! The connection itself. What changes one is done on all, and again on those opened later.

use super::*;

/// `CLIENT SETINFO LIB-VER`, which does not take the place of `LIB-NAME`.
const LIBRARY_VERSION: &Exception = &Exception {
    word: "LIB-VER",
    at: Some(2),
    rule: session(SessionCommand::ClientLibraryVersion),
};

const TRACKING: CommandRule = CommandRule::refused(
    "invalidations come on the connection that asked for them, and here are several; use node_client",
);
const ONE_CLIENT: CommandRule =
    CommandRule::refused("the same client has another number on each node; use on_node");

pub(super) const ROWS: &[Row] = &[
    ("AUTH", session(SessionCommand::Auth)),
    ("CLIENT", UNKNOWN.lasting()),
    ("CLIENT CACHING", TRACKING),
    ("CLIENT CAPA", CommandRule::refused("redirections to other nodes are not followed").lasting()),
    ("CLIENT GETNAME", DESIGNATED.answered_by_proxy(ProxyCommand::ClientName)),
    ("CLIENT GETREDIR", DESIGNATED),
    ("CLIENT HELP", DESIGNATED),
    ("CLIENT ID", DESIGNATED.answered_by_proxy(ProxyCommand::ClientId)),
    ("CLIENT IMPORT-SOURCE", session(SessionCommand::ClientImportSource)),
    ("CLIENT INFO", DESIGNATED.answered_by_proxy(ProxyCommand::ClientInfo)),
    ("CLIENT KILL", ONE_CLIENT.administrative()),
    ("CLIENT LIST", CommandRule::all_nodes(Gather::ByNode).administrative()),
    (
        "CLIENT MAINT_NOTIFICATIONS",
        CommandRule::refused("such notifications are not read").lasting(),
    ),
    ("CLIENT NO-EVICT", session(SessionCommand::ClientNoEvict)),
    ("CLIENT NO-TOUCH", session(SessionCommand::ClientNoTouch)),
    // An ejected node that misses it would take writes when it returns.
    ("CLIENT PAUSE", CommandRule::every_node(Gather::First).administrative()),
    (
        "CLIENT REPLY",
        CommandRule::refused("without replies a connection loses count; use node_client")
            .taking_over(),
    ),
    ("CLIENT SETINFO", session(SessionCommand::ClientLibraryName).except(LIBRARY_VERSION)),
    ("CLIENT SETNAME", session(SessionCommand::ClientName)),
    ("CLIENT TRACKING", TRACKING),
    ("CLIENT TRACKINGINFO", DESIGNATED),
    ("CLIENT UNBLOCK", ONE_CLIENT.administrative()),
    ("CLIENT UNPAUSE", CommandRule::all_nodes(Gather::First).administrative()),
    ("ECHO", local(LocalReply::Echo)),
    ("HELLO", session(SessionCommand::Hello)),
    ("PING", local(LocalReply::Pong)),
    ("QUIT", local(LocalReply::Quit)),
    ("READONLY", session(SessionCommand::ReadOnly)),
    ("READWRITE", session(SessionCommand::ReadOnly)),
    ("RESET", session(SessionCommand::Reset)),
    ("SELECT", session(SessionCommand::Select)),
];
