//! What stays within the machine is not paced.
//!
//! Where BBR is the system's congestion control, each part of a large value waits for a timer, so that it leaves at the
//! pace that the link ahead seems to have. From process to process there is no link, and the timers take longer than
//! all the rest: with them 1,500 values of 1 MiB were stored in a second, and without 3,100, for less than half of the
//! processor time (Linux 6.18, loopback). A connection that began with them keeps them under any other congestion control, so
//! sockets go without from the start, and those that turn out to leave the machine get back what was theirs.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// What sockets have without timers. Every Linux has it, and everybody may choose it.
const UNPACED: &str = "reno";

/// The congestion control that sockets would have: nothing, if it does not pace what they send.
#[derive(Clone, Debug, Default)]
pub(super) struct Pacing(Option<String>);

impl Pacing {
    /// Takes it from a socket that is not connected yet, and from what will be accepted there.
    pub(super) fn take_from(socket: impl AsFd) -> Self {
        let paced = system::congestion_control(&socket).filter(|name| name.starts_with("bbr"));
        Self(paced.filter(|_| system::set_congestion_control(&socket, UNPACED)))
    }

    /// Gives it back to a connection that leaves the machine.
    pub(super) fn give_back(&self, connection: impl AsFd, peer: SocketAddr) {
        let Some(name) = &self.0 else {
            return;
        };
        let local = rustix::net::getsockname(&connection).ok();
        let local = local.and_then(|address| SocketAddr::try_from(address).ok());
        if !local.is_some_and(|local| is_within(local.ip(), peer.ip())) {
            // Without it the connection works as well, and nobody can be told.
            let _ = system::set_congestion_control(&connection, name);
        }
    }
}

/// Whether what goes from one address to the other stays in the machine.
fn is_within(local: IpAddr, peer: IpAddr) -> bool {
    let (local, peer) = (local.to_canonical(), peer.to_canonical());
    peer.is_loopback() || peer == local
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::AsFd;

    use rustix::net::sockopt;

    pub(super) fn congestion_control(socket: impl AsFd) -> Option<String> {
        sockopt::tcp_congestion(socket).ok()
    }

    /// Answers whether it has been set.
    pub(super) fn set_congestion_control(socket: impl AsFd, name: &str) -> bool {
        sockopt::set_tcp_congestion(socket, name).is_ok()
    }
}

/// Nothing is known of others that pace by themselves.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::os::fd::AsFd;

    pub(super) fn congestion_control(_: impl AsFd) -> Option<String> {
        None
    }

    pub(super) fn set_congestion_control(_: impl AsFd, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine_are_told_from_others() {
        for (local, peer, is_expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.3.2.1", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7", true),
            ("2001:db8::7", "2001:db8::7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::7", "2001:db8::8", false),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.8", false),
        ] {
            let is_found = is_within(local.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(is_found, is_expected, "{local} {peer}");
        }
    }

    #[cfg(target_os = "linux")]
    mod of_linux {
        use std::net::TcpListener;
        use std::net::TcpStream;

        use super::super::system::congestion_control;
        use super::super::system::set_congestion_control;
        use super::super::*;

        #[test]
        fn it_is_taken_from_a_listener_and_what_is_accepted_there_and_given_back_to_who_leaves() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // Not every system has it, and then this is about one that does not pace.
            let has_bbr = set_congestion_control(&listener, "bbr");
            let before = congestion_control(&listener).unwrap();
            assert_eq!(before == "bbr", has_bbr);
            let expected = if has_bbr { UNPACED.to_owned() } else { before.clone() };

            let pacing = Pacing::take_from(&listener);
            assert_eq!(pacing.0, has_bbr.then(|| before.clone()));
            assert_eq!(congestion_control(&listener).unwrap(), expected);

            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            pacing.give_back(&accepted, peer);
            assert_eq!(congestion_control(&accepted).unwrap(), expected);
            pacing.give_back(&accepted, SocketAddr::from(([192, 0, 2, 1], 7)));
            assert_eq!(congestion_control(&accepted).unwrap(), before);
        }

        #[test]
        fn what_does_not_pace_stays() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(set_congestion_control(&listener, UNPACED));
            assert!(Pacing::take_from(&listener).0.is_none());
            let (_, unix) = std::os::unix::net::UnixStream::pair().unwrap();
            assert!(Pacing::take_from(&unix).0.is_none());
        }
    }
}
