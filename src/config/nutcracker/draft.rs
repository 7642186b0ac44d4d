//! A pool while its directives are read: which are set, and to what.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;

use super::Listen;
use super::PoolConfig;
use super::ServerCredentials;
use super::complaint::Complaint;
use super::complaint::Position;
use super::in_order;
use super::needs;
use super::pool::Settings;
use super::yaml::Event;
use super::yaml::EventKind;
use super::yaml::Scalar;
use crate::config::FailedReads;
use crate::distribution::DistributionKind;
use crate::health::EjectMode;
use crate::node::Node;
use crate::node::decimal;

type Reason = Cow<'static, str>;

/// A pool while its directives are read.
#[derive(Debug)]
pub(super) struct Draft {
    name: String,
    at: Position,
    settings: Settings,
    /// Where each directive of the settings stands, to the last item of one that is a list.
    positions: HashMap<String, Position>,
    /// Where each server of the settings stands.
    server_positions: Vec<Position>,
}

/// The pools of a file whose structure is in order, in the order of the file
/// (nutcracker 0.5.0 `nc_conf.c` `conf_parse_core`).
pub(super) fn drafts(events: Vec<Event>) -> Result<Vec<Draft>, Complaint> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut depth = 0;
    let mut is_in_list = false;
    let mut directive: Option<Scalar> = None;
    for event in events {
        match event.kind {
            EventKind::MappingStart => depth += 1,
            EventKind::MappingEnd => depth -= 1,
            EventKind::SequenceStart => is_in_list = true,
            EventKind::SequenceEnd => {
                is_in_list = false;
                directive = None;
            }
            EventKind::Scalar(scalar) => match (drafts.last_mut(), directive.take()) {
                (Some(draft), Some(name)) if depth > 1 => {
                    let what = || format!("the value of directive \"{}\"", name.text);
                    usable(&scalar, what)?;
                    draft.set(&name, &scalar)?;
                    directive = is_in_list.then_some(name);
                }
                (Some(_), None) if depth > 1 => {
                    usable(&scalar, || "the name of a directive".into())?;
                    directive = Some(scalar);
                }
                _ => {
                    usable(&scalar, || "the name of a pool".into())?;
                    drafts.push(Draft::new(scalar));
                }
            },
        }
    }
    Ok(drafts)
}

/// nutcracker says nothing here but that the file is invalid.
fn usable(scalar: &Scalar, what: impl FnOnce() -> String) -> Result<(), Complaint> {
    match scalar.fault {
        None => Ok(()),
        Some(fault) => Err(Complaint::new(scalar.at, format!("{} {fault}", what()))),
    }
}

impl Draft {
    fn new(name: Scalar) -> Self {
        Self {
            name: name.text,
            at: name.at,
            settings: Settings::default(),
            positions: HashMap::new(),
            server_positions: Vec::new(),
        }
    }

    /// Takes one directive, or one item of a directive that is a list.
    fn set(&mut self, directive: &Scalar, value: &Scalar) -> Result<(), Complaint> {
        let settings = &mut self.settings;
        let text = value.text.as_str();
        let set = match directive.text.as_str() {
            "listen" => once(&mut settings.listen, text, |text| Ok(Listen::parse(text)?)),
            "hash" => once(&mut settings.hash, text, |text| {
                text.parse().map_err(|_| "is not a valid hash".into())
            }),
            "hash_tag" => once(&mut settings.hash_tag, text, |text| {
                let reason = "is not a valid hash tag string with two characters";
                text.parse().map_err(|_| reason.into())
            }),
            "distribution" => once(&mut settings.distribution, text, distribution),
            "timeout" => once(&mut settings.timeout, text, integer),
            "backlog" => once(&mut settings.backlog, text, integer),
            "client_connections" => once(&mut settings.client_connections, text, integer),
            "redis" => once(&mut settings.redis, text, boolean),
            "redis_auth" => once(&mut settings.redis_auth, text, as_it_is),
            "redis_db" => once(&mut settings.redis_db, text, integer),
            "tcpkeepalive" => once(&mut settings.tcpkeepalive, text, boolean),
            "reuseport" => once(&mut settings.reuseport, text, boolean),
            "preconnect" => once(&mut settings.preconnect, text, boolean),
            "auto_eject_hosts" => once(&mut settings.auto_eject_hosts, text, boolean),
            "server_connections" => once(&mut settings.server_connections, text, integer),
            "server_retry_timeout" => once(&mut settings.server_retry_timeout, text, integer),
            "server_failure_limit" => once(&mut settings.server_failure_limit, text, integer),
            "servers" => server(text).map(|(credentials, node)| {
                settings.servers.push(node);
                settings.credentials.push(credentials);
                self.server_positions.push(value.at);
            }),
            "admin_commands" => once(&mut settings.admin_commands, text, boolean),
            "client_idle_timeout" => once(&mut settings.client_idle_timeout, text, integer),
            "eject_mode" => once(&mut settings.eject_mode, text, eject_mode),
            "failed_reads" => once(&mut settings.failed_reads, text, failed_reads),
            "listen_tls_cert" => once(&mut settings.listen_tls_cert, text, as_it_is),
            "listen_tls_key" => once(&mut settings.listen_tls_key, text, as_it_is),
            "listen_tls_client_ca" => once(&mut settings.listen_tls_client_ca, text, as_it_is),
            "server_auth" => once(&mut settings.server_auth, text, as_it_is),
            "server_user" => once(&mut settings.server_user, text, as_it_is),
            "server_tls" => once(&mut settings.server_tls, text, boolean),
            "server_tls_ca" => once(&mut settings.server_tls_ca, text, as_it_is),
            "server_tls_cert" => once(&mut settings.server_tls_cert, text, as_it_is),
            "server_tls_key" => once(&mut settings.server_tls_key, text, as_it_is),
            "server_tls_name" => once(&mut settings.server_tls_name, text, as_it_is),
            "sentinels" => Err("is not supported yet".into()),
            _ => {
                let reason = format!("directive \"{}\" is unknown", directive.text);
                return Err(Complaint::new(directive.at, reason));
            }
        };
        set.map_err(|reason| {
            Complaint::new(value.at, format!("directive \"{}\" {reason}", directive.text))
        })?;
        self.positions.insert(directive.text.clone(), directive.at);
        Ok(())
    }

    /// The pool, once all directives are in: nutcracker 0.5.0 `nc_conf.c` `conf_validate_pool`, and then
    /// what it does not have.
    pub(super) fn finish(mut self) -> Result<(PoolConfig, Position), Complaint> {
        let at = self.at;
        let complain = |reason: String| Err(Complaint::new(at, reason));
        let Some(listen) = self.settings.listen.take() else {
            return complain("directive \"listen:\" is missing".into());
        };
        if self.settings.server_connections == Some(0) {
            return complain("directive \"server_connections:\" cannot be 0".into());
        }
        if self.settings.redis != Some(true) && self.settings.redis_auth.is_some() {
            return complain("directive \"redis_auth:\" is only valid for a redis pool".into());
        }
        if self.settings.servers.is_empty() {
            return complain(format!("pool '{}' has no servers", self.name));
        }
        if let Some((node, at)) = self.second_of_two() {
            let (pool, node) = (&self.name, node.name());
            let reason = format!("pool '{pool}' has servers with same name '{node}'");
            return Err(Complaint::new(at, reason));
        }
        if let Some((directive, reason)) = needs::unmet(&self.settings) {
            let at = self.positions.get(directive).copied().unwrap_or(at);
            return Err(Complaint::new(at, format!("directive \"{directive}:\" {reason}")));
        }
        self.check_credentials()?;
        let common = self.settings.common_credentials();
        for credentials in &mut self.settings.credentials {
            *credentials = credentials.take().or_else(|| common.clone());
        }
        let pool = PoolConfig::new(self.name, listen, self.settings, self.positions);
        match pool.topology() {
            Ok(_) => Ok((pool, at)),
            // More servers, or more weight, than nutcracker can count.
            Err(error) => complain(format!("pool '{}': {}", pool.name(), error.message())),
        }
    }

    /// memcached's ASCII authentication wants a user, and where there is a space the password begins.
    fn check_credentials(&self) -> Result<(), Complaint> {
        let Settings { redis, servers, credentials, .. } = &self.settings;
        if *redis == Some(true) {
            return Ok(());
        }
        for ((node, credentials), at) in servers.iter().zip(credentials).zip(&self.server_positions)
        {
            let fault = match credentials.as_ref().map(ServerCredentials::user) {
                Some(None) => "a password without a user",
                Some(Some(user)) if user.contains(' ') => "a user with a space",
                _ => continue,
            };
            let (pool, node) = (&self.name, node.name());
            let reason = format!("memcached pool '{pool}' has {fault} for server '{node}'");
            return Err(Complaint::new(*at, reason));
        }
        Ok(())
    }

    /// The second server of the first name, in nutcracker's order, that two servers have.
    fn second_of_two(&self) -> Option<(&Node, Position)> {
        let mut seen = HashSet::new();
        let servers = self.settings.servers.iter().zip(self.server_positions.iter().copied());
        let again = servers.filter(|(node, _)| !seen.insert(node.name()));
        again.min_by_key(|(node, _)| in_order(node.name()))
    }
}

/// A line of `servers`.
fn server(text: &str) -> Result<(Option<ServerCredentials>, Node), Reason> {
    let (credentials, line) = ServerCredentials::split(text)?;
    let node = Node::parse_line(line).map_err(|reason| reason.to_string())?;
    Ok((credentials, node))
}

/// Sets what was not set before.
fn once<T>(
    slot: &mut Option<T>,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Reason>,
) -> Result<(), Reason> {
    if slot.is_some() {
        return Err("is a duplicate".into());
    }
    *slot = Some(read(text)?);
    Ok(())
}

fn integer(text: &str) -> Result<u32, Reason> {
    decimal(text).ok_or_else(|| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        // nutcracker refuses half of these in the same words and takes the other half for others.
        let reason = if is_number { ": the largest is 2147483647" } else { "" };
        format!("is not a number{reason}").into()
    })
}

fn boolean(text: &str) -> Result<bool, Reason> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is not \"true\" or \"false\"".into()),
    }
}

/// One of nutcracker's three; a file it does not accept would not be a `nutcracker.yml`.
fn distribution(text: &str) -> Result<DistributionKind, Reason> {
    use DistributionKind::Ketama;
    use DistributionKind::Modula;
    use DistributionKind::Random;
    let known = [Ketama, Modula, Random].into_iter().find(|kind| kind.as_str() == text);
    known.ok_or_else(|| "is not a valid distribution".into())
}

fn eject_mode(text: &str) -> Result<EjectMode, Reason> {
    let mode = text.parse().ok().filter(|&mode| mode != EjectMode::Off);
    mode.ok_or_else(|| "is not \"rebuild\", \"successor\" or \"fail_fast\"".into())
}

fn failed_reads(text: &str) -> Result<FailedReads, Reason> {
    match text {
        "error" => Ok(FailedReads::Error),
        "miss" => Ok(FailedReads::Miss),
        _ => Err("is not \"error\" or \"miss\"".into()),
    }
}

fn as_it_is(text: &str) -> Result<String, Reason> {
    Ok(text.into())
}
