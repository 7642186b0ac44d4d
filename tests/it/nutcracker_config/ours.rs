//! Directives that nutcracker does not have. It knows none of them, and says so of the first.

use super::table::Rows;
use super::table::Verdict::Bad;
use super::table::Verdict::BadForThem;
use super::table::Verdict::BadForUs;
use super::table::Verdict::BadInOtherWords;
use super::table::Verdict::Good;

/// Each in place of the third line.
pub(super) const DIRECTIVES: Rows = &[
    ("admin_commands: true", BadForThem("directive \"admin_commands\" is unknown")),
    (
        "admin_commands: yes",
        BadInOtherWords(
            "line 3, column 19: directive \"admin_commands\" is not \"true\" or \"false\"",
            "directive \"admin_commands\" is unknown",
        ),
    ),
    (
        "admin_commands: true\n  admin_commands: true",
        BadInOtherWords(
            "line 4, column 19: directive \"admin_commands\" is a duplicate",
            "directive \"admin_commands\" is unknown",
        ),
    ),
    ("client_idle_timeout: 0", BadForThem("directive \"client_idle_timeout\" is unknown")),
    (
        "client_idle_timeout: 1s",
        BadInOtherWords(
            "line 3, column 24: directive \"client_idle_timeout\" is not a number",
            "directive \"client_idle_timeout\" is unknown",
        ),
    ),
    (
        "eject_mode: successor\n  auto_eject_hosts: true",
        BadForThem("directive \"eject_mode\" is unknown"),
    ),
    (
        "auto_eject_hosts: false\n  eject_mode: rebuild",
        BadInOtherWords(
            "line 4, column 3: directive \"eject_mode:\" is only valid with \"auto_eject_hosts: true\"",
            "directive \"eject_mode\" is unknown",
        ),
    ),
    (
        "eject_mode: off\n  auto_eject_hosts: true",
        BadInOtherWords(
            "line 3, column 15: directive \"eject_mode\" \
             is not \"rebuild\", \"successor\" or \"fail_fast\"",
            "directive \"eject_mode\" is unknown",
        ),
    ),
    ("failed_reads: miss", BadForThem("directive \"failed_reads\" is unknown")),
    ("failed_reads: error", BadForThem("directive \"failed_reads\" is unknown")),
    (
        "failed_reads: hit",
        BadInOtherWords(
            "line 3, column 17: directive \"failed_reads\" is not \"error\" or \"miss\"",
            "directive \"failed_reads\" is unknown",
        ),
    ),
    (
        "failed_reads: miss\n  redis: true",
        BadInOtherWords(
            "line 3, column 3: directive \"failed_reads:\" is only valid for a memcached pool",
            "directive \"failed_reads\" is unknown",
        ),
    ),
    ("server_user: u\n  server_auth: p", BadForThem("directive \"server_user\" is unknown")),
    (
        "server_auth: p\n  redis: true\n  redis_auth: q",
        BadForThem("directive \"server_auth\" is unknown"),
    ),
    (
        "server_user: u v\n  redis: true\n  redis_auth: q",
        BadForThem("directive \"server_user\" is unknown"),
    ),
    (
        "redis: true\n  server_user: u",
        BadInOtherWords(
            "line 4, column 3: directive \"server_user:\" needs \"server_auth:\"",
            "directive \"server_user\" is unknown",
        ),
    ),
    (
        "server_auth: p",
        BadInOtherWords(
            "line 3, column 3: directive \"server_auth:\" needs \"server_user:\" in a memcached pool",
            "directive \"server_auth\" is unknown",
        ),
    ),
    (
        "server_user: u v\n  server_auth: p",
        BadInOtherWords(
            "line 3, column 3: directive \"server_user:\" cannot contain a space in a memcached pool",
            "directive \"server_user\" is unknown",
        ),
    ),
    (
        "server_auth: p\n  server_connections: 0",
        BadInOtherWords(
            "line 1, column 1: directive \"server_connections:\" cannot be 0",
            "directive \"server_auth\" is unknown",
        ),
    ),
    (
        "server_tls: true\n  server_tls_ca: /a\n  server_tls_cert: b\n  server_tls_key: c\n  \
         server_tls_name: d",
        BadForThem("directive \"server_tls\" is unknown"),
    ),
    (
        "server_tls: 1",
        BadInOtherWords(
            "line 3, column 15: directive \"server_tls\" is not \"true\" or \"false\"",
            "directive \"server_tls\" is unknown",
        ),
    ),
    (
        "server_tls: false\n  server_tls_ca: /a",
        BadInOtherWords(
            "line 4, column 3: directive \"server_tls_ca:\" is only valid with \"server_tls: true\"",
            "directive \"server_tls\" is unknown",
        ),
    ),
    (
        "server_tls_name: a",
        BadInOtherWords(
            "line 3, column 3: directive \"server_tls_name:\" \
             is only valid with \"server_tls: true\"",
            "directive \"server_tls_name\" is unknown",
        ),
    ),
    (
        "server_tls: true\n  server_tls_cert: a",
        BadInOtherWords(
            "line 4, column 3: directive \"server_tls_cert:\" needs \"server_tls_key:\"",
            "directive \"server_tls\" is unknown",
        ),
    ),
    (
        "server_tls: true\n  server_tls_key: a",
        BadInOtherWords(
            "line 4, column 3: directive \"server_tls_key:\" needs \"server_tls_cert:\"",
            "directive \"server_tls\" is unknown",
        ),
    ),
    (
        "listen_tls_cert: a\n  listen_tls_key: b\n  listen_tls_client_ca: c",
        BadForThem("directive \"listen_tls_cert\" is unknown"),
    ),
    (
        "listen_tls_cert: a",
        BadInOtherWords(
            "line 3, column 3: directive \"listen_tls_cert:\" needs \"listen_tls_key:\"",
            "directive \"listen_tls_cert\" is unknown",
        ),
    ),
    (
        "listen_tls_key: a",
        BadInOtherWords(
            "line 3, column 3: directive \"listen_tls_key:\" needs \"listen_tls_cert:\"",
            "directive \"listen_tls_key\" is unknown",
        ),
    ),
    (
        "listen_tls_client_ca: a",
        BadInOtherWords(
            "line 3, column 3: directive \"listen_tls_client_ca:\" needs \"listen_tls_cert:\"",
            "directive \"listen_tls_client_ca\" is unknown",
        ),
    ),
];

/// Each in place of the fifth line. To nutcracker credentials are part of a host, which it does not look
/// up before it has to.
pub(super) const SERVERS: Rows = &[
    ("u:p@a:1:1", Good),
    ("u:p%40q@a:1:1 name", Good),
    ("\"u:p@::1:1:1\"", Good),
    ("a:1:1 me@home", Good),
    ("/run/a@b.sock:1", Good),
    (
        "u:p@a:1:0",
        Bad("line 5, column 6: directive \"servers\" \
             has a zero weight in \"hostname:port:weight [name]\" format string"),
    ),
    (
        "u@a:1:1",
        BadForUs(
            "line 5, column 6: directive \"servers\" has no password \
             in \"user:password@hostname:port:weight [name]\" format string",
        ),
    ),
    (
        "u:%ff@a:1:1",
        BadForUs(
            "line 5, column 6: directive \"servers\" has a user or a password that is not UTF-8 \
             in \"user:password@hostname:port:weight [name]\" format string",
        ),
    ),
    (
        "\":p@a:1:1\"",
        BadForUs(
            "line 5, column 6: memcached pool 'p' has a password without a user for server 'a:1'",
        ),
    ),
    (
        "u%20v:p@a:1:1 x",
        BadForUs("line 5, column 6: memcached pool 'p' has a user with a space for server 'x'"),
    ),
    // They are not part of the name.
    ("u:p@z:1:1", BadForUs("line 5, column 6: pool 'p' has servers with same name 'z:1'")),
    (
        "u:p@/run/a.sock:1",
        BadForThem(
            "directive \"servers\" has an invalid port \
             in \"hostname:port:weight [name]\" format string",
        ),
    ),
];
