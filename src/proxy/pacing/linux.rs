//! How connections of Linux are paced (tcp(7), `TCP_CONGESTION`).

use std::os::fd::AsFd;

use rustix::net::sockopt;

pub(in crate::proxy) fn congestion_control(socket: impl AsFd) -> Option<String> {
    sockopt::tcp_congestion(socket).ok()
}

/// Answers whether it has been set.
pub(in crate::proxy) fn set_congestion_control(socket: impl AsFd, name: &str) -> bool {
    sockopt::set_tcp_congestion(socket, name).is_ok()
}
