//! smol.

use std::future::Future;
use std::time::Duration;

/// A task that ends when this is dropped.
pub(in crate::client::aio) type Task = smol::Task<()>;

pub(in crate::client::aio) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    smol::spawn(future)
}

pub(in crate::client::aio) async fn sleep(time: Duration) {
    smol::Timer::after(time).await;
}
