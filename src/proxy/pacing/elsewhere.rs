//! Other systems choose otherwise what paces, and are left alone.

use std::os::fd::AsFd;

pub(in crate::proxy) fn congestion_control(_: impl AsFd) -> Option<String> {
    None
}

pub(in crate::proxy) fn set_congestion_control(_: impl AsFd, _: &str) -> bool {
    false
}
