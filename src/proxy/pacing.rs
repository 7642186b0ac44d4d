//! What stays within the machine is not paced.
//!
//! Where BBR is the system's congestion control, each part of a large value waits for a timer, so that it leaves at
//! the pace that the link ahead seems to have. From process to process there is no link, and the timers take longer
//! than all the rest: with them 1,500 values of 1 MiB were stored in a second, and without 3,100, for less than half of
//! the processor time (Linux 6.18, loopback). A connection that began with them keeps them under any other congestion
//! control, so sockets go without from the start, and those that turn out to leave the machine get back what they had.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

/// What sockets have without timers. Every Linux has it, and anybody may choose it unless that is forbidden.
const UNPACED: &str = "reno";

/// The congestion control that sockets would have: nothing, if it does not pace what they send.
#[derive(Clone, Debug, Default)]
pub(super) struct Pacing(Option<String>);

impl Pacing {
    /// Takes it from a socket that is not connected yet, and from what will be accepted there.
    pub(super) fn take_from(socket: impl AsFd) -> Self {
        let paced = system::congestion_control(&socket).filter(|name| name.starts_with("bbr"));
        // What cannot be given back is not taken.
        let taken = paced.filter(|name| can_choose(name));
        Self(taken.filter(|_| system::set_congestion_control(&socket, UNPACED)))
    }

    /// Gives it back to a connection that leaves the machine.
    pub(super) fn give_back(&self, connection: impl AsFd, peer: SocketAddr) {
        if let Some(name) = &self.0
            && !is_within(&connection, peer.ip().to_canonical())
            // The way there may have one of its own (ip-route(8), `congctl`), which is in force by now.
            && system::congestion_control(&connection).as_deref() == Some(UNPACED)
        {
            // It could be set before, and the connection works without it.
            let _ = system::set_congestion_control(&connection, name);
        }
    }
}

/// Whether this process may choose that one (`/proc/sys/net/ipv4/tcp_allowed_congestion_control`).
fn can_choose(name: &str) -> bool {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::STREAM, None) else {
        return false;
    };
    // Anything is allowed that the socket has already.
    system::set_congestion_control(&socket, UNPACED)
        && system::set_congestion_control(&socket, name)
}

/// Whether the connection stays in the machine. Other addresses of its own are taken for other machines.
fn is_within(connection: impl AsFd, peer: IpAddr) -> bool {
    // Who connects to no address in particular is connected to this machine.
    if peer.is_loopback() || peer.is_unspecified() {
        return true;
    }
    let local = rustix::net::getsockname(connection).ok();
    let local = local.and_then(|address| SocketAddr::try_from(address).ok());
    local.is_some_and(|local| local.ip().to_canonical() == peer)
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    /// Gives a socket BBR, if the system has it, and says what it has then and what it should have unpaced.
    pub(in crate::proxy) fn pace(socket: impl AsFd) -> (String, String) {
        // To ask for one that is not there may load a module.
        let available = "/proc/sys/net/ipv4/tcp_available_congestion_control";
        let available = std::fs::read_to_string(available).unwrap();
        let is_paced = available.split_whitespace().any(|name| name == "bbr")
            && system::set_congestion_control(&socket, "bbr");
        if !is_paced {
            eprintln!("there is no bbr here, or we may not have it");
        }
        let name = congestion_control(&socket);
        let unpaced = if name.starts_with("bbr") { UNPACED.to_owned() } else { name.clone() };
        (name, unpaced)
    }

    pub(in crate::proxy) fn congestion_control(socket: impl AsFd) -> String {
        system::congestion_control(socket).unwrap()
    }

    #[test]
    fn it_is_taken_from_a_listener_and_given_back_to_who_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (before, unpaced) = pace(&listener);
        let pacing = Pacing::take_from(&listener);
        assert_eq!(pacing.0, (before != unpaced).then(|| before.clone()));
        assert_eq!(congestion_control(&listener), unpaced);

        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        for peer in [peer, "[::ffff:127.0.0.1]:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap()] {
            pacing.give_back(&accepted, peer);
            assert_eq!(congestion_control(&accepted), unpaced, "{peer}");
        }
        pacing.give_back(&accepted, "192.0.2.1:7".parse().unwrap());
        assert_eq!(congestion_control(&accepted), before);
    }

    #[test]
    fn the_same_address_at_both_ends_is_this_machine() {
        let local = TcpListener::bind("127.0.0.1:0").unwrap();
        for (peer, is_expected) in
            [("127.3.2.1", true), ("192.0.2.7", false), ("2001:db8::7", false)]
        {
            assert_eq!(is_within(&local, peer.parse().unwrap()), is_expected, "{peer}");
        }
        // Some address of this machine, if it has one: nothing is sent.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.7:7").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_within(&socket, own));
        }
    }

    #[test]
    fn what_is_not_paced_or_was_chosen_on_the_way_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(system::set_congestion_control(&listener, UNPACED));
        assert!(Pacing::take_from(&listener).0.is_none());
        let (_, unix) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Pacing::take_from(&unix).0.is_none());

        let (name, _) = pace(&listener);
        // Something that could be set.
        let pacing = Pacing(Some(UNPACED.to_owned()));
        pacing.give_back(&listener, "192.0.2.1:7".parse().unwrap());
        assert_eq!(congestion_control(&listener), name);
    }

    #[test]
    fn what_cannot_be_given_back_is_known() {
        assert!(can_choose(UNPACED));
        assert!(!can_choose("no such thing"));
    }
}
