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

/// Hears the signals of the process until it is dropped. What they did before is not put back.
#[derive(Debug)]
pub(super) struct Ear {
    handle: Handle,
}

impl Ear {
    /// Calls `on_signal` for each signal, on a thread of its own: an order to end must be heard also while the
    /// rest of the control plane waits for something.
    pub(super) fn open(mut on_signal: impl FnMut(Signal) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new(Signal::ALL.map(Signal::number))?;
        let handle = signals.handle();
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
    fn each_signal_is_heard_as_its_order() {
        let (sender, receiver) = mpsc::channel();
        let ear = Ear::open(move |signal| sender.send(signal).unwrap_or_default()).unwrap();
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
