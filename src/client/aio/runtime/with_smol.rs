//! smol.

use std::future::Future;
use std::time::Duration;

/// A task that ends when this is dropped.
pub(in crate::client::aio) type Task = smol::Task<()>;

pub(in crate::client::aio) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    smol::spawn(future)
}

/// Runs `future` whatever becomes of who asked for it.
pub(in crate::client::aio) fn detach(future: impl Future<Output = ()> + Send + 'static) {
    smol::spawn(future).detach();
}

pub(in crate::client::aio) async fn sleep(time: Duration) {
    smol::Timer::after(time).await;
}
