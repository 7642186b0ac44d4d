//! A server's slowness, seen past the library: by a connection of redis-rs that asks it all the time.
//!
//! On a machine that others use a server that is well may not answer in time either: it does not run, or
//! waits for a disk. A call that failed for this is not the library's doing, and no other is excused.

use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use redis::Client;
use redis::RedisResult;

use crate::support::redis_server::RedisServer;
use crate::support::stopwatch::pause;

/// When a server took long to answer.
#[derive(Default)]
pub struct Witness {
    slow: Mutex<Vec<(Instant, Instant)>>,
    /// Since when a question is open.
    asked: Mutex<Option<Instant>>,
}

/// What is quicker is not noted.
const NOTABLE: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(5);

impl Witness {
    /// Asks `server` from now on, as long as anybody wants to know.
    pub fn of(server: &RedisServer) -> Arc<Self> {
        let witness = Arc::new(Self::default());
        let client = Client::open(server.url()).unwrap();
        let weak = Arc::downgrade(&witness);
        thread::spawn(move || {
            let mut connection = client.get_connection();
            while let Some(witness) = weak.upgrade() {
                let is_answered = witness.ask(|| {
                    let pong = connection.as_mut().ok().map(|con| redis::cmd("PING").exec(con));
                    pong.is_some_and(|pong: RedisResult<()>| pong.is_ok())
                });
                if !is_answered {
                    connection = client.get_connection();
                }
                drop(witness);
                pause(PAUSE);
            }
        });
        witness
    }

    fn ask(&self, question: impl FnOnce() -> bool) -> bool {
        let start = Instant::now();
        *self.asked.lock().unwrap() = Some(start);
        let is_answered = question();
        let end = Instant::now();
        if end - start > NOTABLE {
            self.slow.lock().unwrap().push((start, end));
        }
        *self.asked.lock().unwrap() = None;
        is_answered
    }

    /// For how long between `start` and `end` the server owed an answer.
    pub fn slowness(&self, start: Instant, end: Instant) -> Duration {
        let open = self.asked.lock().unwrap().map(|asked| (asked, end));
        let slow = self.slow.lock().unwrap();
        let within = slow.iter().copied().chain(open);
        within.map(|(from, to)| to.min(end).saturating_duration_since(from.max(start))).sum()
    }
}
