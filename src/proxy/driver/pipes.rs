//! The pipes of a worker.

use super::pipe::Pipe;

/// So many may be in use: each takes two descriptors.
pub(super) const MOST: usize = 8;

/// Pipes that nobody uses at the moment, and those that clients' large requests are in.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    /// By the session.
    used: Vec<(usize, Pipe)>,
}

impl Pipes {
    /// An empty pipe; `None` if there is none.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        match self.idle.pop() {
            Some(pipe) => Some(pipe),
            None if self.used.len() < MOST => Pipe::new().ok(),
            None => None,
        }
    }

    /// Nobody uses the pipe any more. What is in it goes with it.
    pub(super) fn give(&mut self, pipe: Pipe) {
        if pipe.len() == 0 && self.idle.len() + self.used.len() < MOST {
            self.idle.push(pipe);
        }
    }

    /// The pipe of a session; it gets one if it has none.
    pub(super) fn of(&mut self, session: usize) -> Option<&mut Pipe> {
        let place = match self.place(session) {
            Some(place) => place,
            None => {
                let pipe = self.take()?;
                self.used.push((session, pipe));
                self.used.len() - 1
            }
        };
        Some(&mut self.used[place].1)
    }

    /// The pipe that a session has.
    pub(super) fn used_by(&mut self, session: usize) -> Option<&mut Pipe> {
        let place = self.place(session)?;
        Some(&mut self.used[place].1)
    }

    /// A session needs its pipe no more, if it has one.
    pub(super) fn release(&mut self, session: usize) {
        if let Some(place) = self.place(session) {
            let (_, pipe) = self.used.swap_remove(place);
            self.give(pipe);
        }
    }

    fn place(&self, session: usize) -> Option<usize> {
        self.used.iter().position(|(owner, _)| *owner == session)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn there_are_no_more_than_there_may_be_and_each_is_used_again() {
        let mut pipes = Pipes::default();
        for round in 0..3 {
            for session in 0..MOST {
                assert!(pipes.of(session).is_some(), "{round}");
                assert!(pipes.of(session).is_some());
            }
            assert!(pipes.of(MOST).is_none() && pipes.take().is_none());
            (0..MOST).for_each(|session| pipes.release(session));
            assert_eq!((pipes.used.len(), pipes.idle.len()), (0, MOST));
        }
        assert!(pipes.used_by(1).is_none());
    }

    #[test]
    fn what_is_left_in_one_does_not_come_to_the_next() {
        let mut pipes = Pipes::default();
        let (mut client, socket) = UnixStream::pair().unwrap();
        client.write_all(b"secret").unwrap();
        assert_eq!(pipes.of(7).unwrap().fill(&socket, 6).unwrap(), 6);
        pipes.release(7);
        assert!(pipes.idle.is_empty());
        assert_eq!(pipes.of(7).unwrap().len(), 0);
    }
}
