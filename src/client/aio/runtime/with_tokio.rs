//! tokio.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(in crate::client::aio) struct Task(JoinHandle<()>);

impl Task {
    pub(in crate::client::aio) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(in crate::client::aio) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(future))
}

/// Runs `future` whatever becomes of who asked for it.
pub(in crate::client::aio) fn detach(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}

pub(in crate::client::aio) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}
