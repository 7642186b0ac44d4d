//! The signals that are orders.

use std::io;
use std::thread;

use signal_hook::consts;
use signal_hook::iterator::Handle;
use signal_hook::iterator::Signals;

/// An order from outside, by the signal that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Signal {
    /// `SIGHUP`: open the log file again.
    Hangup,
    /// `SIGTTIN`: log more.
    LogMore,
    /// `SIGTTOU`: log less.
    LogLess,
    /// `SIGUSR1`: read the configuration again. nutcracker ignores it.
    Reload,
    /// `SIGUSR2`: nothing, as in nutcracker.
    Nothing,
    /// `SIGINT`: finish, or finish at once if that was said before.
    Interrupt,
    /// `SIGTERM`: the same.
    Terminate,
}

impl Signal {
    const ALL: [Self; 7] = [
        Self::Hangup,
        Self::LogMore,
        Self::LogLess,
        Self::Reload,
        Self::Nothing,
        Self::Interrupt,
        Self::Terminate,
    ];

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }

    pub(super) fn number(self) -> i32 {
        self.parts().0
    }

    /// What to log: nutcracker's words where it does the same (0.5.0 `nc_signal.c` `signal_handler`).
    pub(super) fn text(self) -> String {
        let (number, name, action) = self.parts();
        format!("signal {number} ({name}) received{action}")
    }

    /// Whether it ends the process, sooner or later.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Interrupt | Self::Terminate)
    }

    fn parts(self) -> (i32, &'static str, &'static str) {
        match self {
            Self::Hangup => (consts::SIGHUP, "SIGHUP", ", reopening log file"),
            Self::LogMore => (consts::SIGTTIN, "SIGTTIN", ", up logging level"),
            Self::LogLess => (consts::SIGTTOU, "SIGTTOU", ", down logging level"),
            Self::Reload => (consts::SIGUSR1, "SIGUSR1", ", reloading configuration"),
            Self::Nothing => (consts::SIGUSR2, "SIGUSR2", ""),
            Self::Interrupt => (consts::SIGINT, "SIGINT", ", exiting"),
            Self::Terminate => (consts::SIGTERM, "SIGTERM", ", exiting"),
        }
    }
}

/// Keeps orders that come before there is anyone to obey them; each is kept once. What signals did before is not
/// put back when this is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Mailbox(Signals);

impl Mailbox {
    /// Those that end the process go on doing so until somebody listens: its start may take long.
    pub(in crate::proxy) fn open() -> io::Result<Self> {
        let kept = Signal::ALL.into_iter().filter(|signal| !signal.is_end());
        Signals::new(kept.map(Signal::number)).map(Self)
    }
}

/// Hears the signals of the process until it is dropped.
#[derive(Debug)]
pub(super) struct Ear {
    handle: Handle,
}

impl Ear {
    /// Calls `on_signal` for each signal, on a thread of its own: an order to end must be heard also while the
    /// rest of the control plane waits for something.
    pub(super) fn open(
        Mailbox(mut signals): Mailbox,
        mut on_signal: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<Self> {
        let handle = signals.handle();
        for signal in Signal::ALL.into_iter().filter(|signal| signal.is_end()) {
            handle.add_signal(signal.number())?;
        }
        thread::Builder::new().name("signals".into()).spawn(move || {
            signals.forever().filter_map(Signal::from_number).for_each(&mut on_signal);
        })?;
        Ok(Self { handle })
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.handle.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_signal_is_heard_as_its_order_also_if_it_came_early() {
        let (sender, receiver) = mpsc::channel();
        let mailbox = Mailbox::open().unwrap();
        let early = Signal::ALL.into_iter().filter(|signal| !signal.is_end());
        early.clone().for_each(|signal| {
            signal_hook::low_level::raise(signal.number()).unwrap();
        });
        let ear = Ear::open(mailbox, move |signal| sender.send(signal).unwrap_or_default());
        let ear = ear.unwrap();
        // In whatever order.
        let heard: Vec<_> = early
            .clone()
            .map(|_| receiver.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        assert!(early.clone().all(|signal| heard.contains(&signal)), "{heard:?}");
        for signal in Signal::ALL {
            signal_hook::low_level::raise(signal.number()).unwrap();
            assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(signal));
        }
        drop(ear);
        // The thread ends, and with it the sender.
        assert_eq!(
            receiver.recv_timeout(Duration::from_secs(10)),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn the_log_has_nutcrackers_words() {
        for (signal, text) in [
            (Signal::Hangup, "signal 1 (SIGHUP) received, reopening log file"),
            (Signal::Nothing, "signal 12 (SIGUSR2) received"),
            (Signal::LogMore, "signal 21 (SIGTTIN) received, up logging level"),
            (Signal::LogLess, "signal 22 (SIGTTOU) received, down logging level"),
            (Signal::Interrupt, "signal 2 (SIGINT) received, exiting"),
        ] {
            assert_eq!(signal.text(), text);
        }
    }
}
