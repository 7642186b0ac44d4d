//! What directives that nutcracker does not have need of others.

use super::pool::Settings;

/// A directive, and what is wrong with it.
pub(super) type Fault = (&'static str, String);

/// A directive of ours that stands there in vain, if there is one.
pub(super) fn unmet(settings: &Settings) -> Option<Fault> {
    let checks = [eject_mode, failed_reads, credentials, server_tls, listen_tls];
    checks.into_iter().find_map(|check| check(settings))
}

fn eject_mode(settings: &Settings) -> Option<Fault> {
    let is_vain = settings.eject_mode.is_some() && settings.auto_eject_hosts != Some(true);
    is_vain.then(|| only_valid("eject_mode", "with \"auto_eject_hosts: true\""))
}

fn failed_reads(settings: &Settings) -> Option<Fault> {
    let is_vain = settings.failed_reads.is_some() && settings.redis == Some(true);
    is_vain.then(|| only_valid("failed_reads", "for a memcached pool"))
}

fn credentials(settings: &Settings) -> Option<Fault> {
    let is_redis = settings.redis == Some(true);
    let has_password = settings.server_auth.is_some() || settings.redis_auth.is_some();
    match &settings.server_user {
        Some(_) if !has_password => Some(needs("server_user", "server_auth")),
        // In memcached's ASCII authentication a space is where the password begins.
        Some(user) if !is_redis && user.contains(' ') => {
            Some(("server_user", "cannot contain a space in a memcached pool".into()))
        }
        None if !is_redis && settings.server_auth.is_some() => {
            Some(("server_auth", "needs \"server_user:\" in a memcached pool".into()))
        }
        _ => None,
    }
}

fn server_tls(settings: &Settings) -> Option<Fault> {
    let certificate = settings.server_tls_cert.is_some();
    let key = settings.server_tls_key.is_some();
    let details = [
        ("server_tls_ca", settings.server_tls_ca.is_some()),
        ("server_tls_cert", certificate),
        ("server_tls_key", key),
        ("server_tls_name", settings.server_tls_name.is_some()),
    ];
    if settings.server_tls != Some(true)
        && let Some((directive, _)) = details.into_iter().find(|(_, is_set)| *is_set)
    {
        return Some(only_valid(directive, "with \"server_tls: true\""));
    }
    both(("server_tls_cert", certificate), ("server_tls_key", key))
}

fn listen_tls(settings: &Settings) -> Option<Fault> {
    let certificate = settings.listen_tls_cert.is_some();
    let fault = both(
        ("listen_tls_cert", certificate),
        ("listen_tls_key", settings.listen_tls_key.is_some()),
    );
    let is_vain = settings.listen_tls_client_ca.is_some() && !certificate;
    fault.or_else(|| is_vain.then(|| needs("listen_tls_client_ca", "listen_tls_cert")))
}

/// Either of two directives needs the other.
fn both(one: (&'static str, bool), other: (&'static str, bool)) -> Option<Fault> {
    match (one, other) {
        ((one, true), (other, false)) => Some(needs(one, other)),
        ((one, false), (other, true)) => Some(needs(other, one)),
        _ => None,
    }
}

fn needs(directive: &'static str, other: &str) -> Fault {
    (directive, format!("needs \"{other}:\""))
}

fn only_valid(directive: &'static str, condition: &str) -> Fault {
    (directive, format!("is only valid {condition}"))
}
