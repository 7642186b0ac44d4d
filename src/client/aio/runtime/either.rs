//! Both are compiled in: tokio within a tokio runtime, smol elsewhere.

use std::future::Future;
use std::time::Duration;

use super::with_smol;
use super::with_tokio;

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(in crate::client::aio) enum Task {
    Tokio(with_tokio::Task),
    Smol(with_smol::Task),
}

impl Task {
    pub(in crate::client::aio) fn is_finished(&self) -> bool {
        match self {
            Self::Tokio(task) => task.is_finished(),
            Self::Smol(task) => task.is_finished(),
        }
    }
}

pub(in crate::client::aio) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    if is_within_tokio() {
        Task::Tokio(with_tokio::spawn(future))
    } else {
        Task::Smol(with_smol::spawn(future))
    }
}

/// Runs `future` whatever becomes of who asked for it.
pub(in crate::client::aio) fn detach(future: impl Future<Output = ()> + Send + 'static) {
    if is_within_tokio() {
        with_tokio::detach(future);
    } else {
        with_smol::detach(future);
    }
}

pub(in crate::client::aio) async fn sleep(time: Duration) {
    if is_within_tokio() {
        with_tokio::sleep(time).await;
    } else {
        with_smol::sleep(time).await;
    }
}

fn is_within_tokio() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}
