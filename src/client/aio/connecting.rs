//! The opening of one connection: redis-rs's handshake, and what was set on the connection.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use redis::Cmd;
use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::ProtocolVersion;
use redis::PushInfo;
use redis::PushKind;
use redis::RedisError;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::dialing::what_panicked;
use super::direct;
use super::link::Link;
use super::link::LinkError;
use super::link::LinkState;
use super::link::Transport;
use super::links::SharedLinks;
use super::runtime::within;
use crate::client::endpoint::Endpoint;
use crate::client::failure::Phase;
use crate::client::failure::failure_of;
use crate::client::session::Session;
use crate::client::wire::LIBRARY_NAME;
use crate::client::wire::LIBRARY_VERSION;
use crate::client::wire::WireError;
use crate::net::clock;
use crate::net::clock::Deadline;
use crate::protocol::resp::request;
use crate::topology::Member;

/// Connects to a node, within `limit` as a whole.
///
/// # Errors
///
/// If it cannot be connected to in time, or refuses the handshake.
pub(super) async fn connect(
    links: &SharedLinks,
    member: &Arc<Member<Endpoint>>,
    limit: Option<Duration>,
) -> Result<Link, LinkError> {
    let deadline = Deadline::after(clock::now(), limit);
    loop {
        let state = LinkState::new(member);
        let (session, version) = links.session();
        let transport = if is_ours(links, member.endpoint().info()) {
            let info = member.endpoint().info().clone();
            let connected = direct::connect(info, session, deadline, &state).await;
            Transport::Direct(connected.map_err(LinkError::Wire)?)
        } else {
            let left = deadline.left(clock::now());
            // rustls panics where an application has not chosen a provider of cryptography.
            let opening = AssertUnwindSafe(delegate(links, member, &session, &state));
            let connection = match within(left, opening.catch_unwind()).await {
                Some(Ok(connected)) => connected.map_err(LinkError::Redis)?,
                Some(Err(panic)) => {
                    return Err(LinkError::Wire(WireError::Io(what_panicked(&*panic))));
                }
                None => return Err(LinkError::Wire(WireError::Deadline)),
            };
            Transport::Delegate { connection, has_turns: links.config.has_turns() }
        };
        // Otherwise something was set while it connected, of which this connection has not heard.
        if links.session_version() == version {
            state.set_session(version);
            state.count();
            return Ok(Link::new(transport, state));
        }
    }
}

/// redis-rs's own connection to a node, with what was set before.
///
/// # Errors
///
/// If it cannot be connected to in time, or refuses the handshake.
pub(super) async fn redis_connection(
    links: &SharedLinks,
    member: &Arc<Member<Endpoint>>,
) -> RedisResult<MultiplexedConnection> {
    let (session, _) = links.session();
    let limit = links.connection_timeout;
    match within(limit, delegate(links, member, &session, &LinkState::new(member))).await {
        Some(connected) => connected,
        None => {
            let deadline = Deadline::after(clock::now(), limit);
            Err(failure_of(member, WireError::Deadline, Phase::Connecting, deadline).into())
        }
    }
}

/// Whether our own connection can do what is asked of it.
fn is_ours(links: &SharedLinks, info: &ConnectionInfo) -> bool {
    direct::is_possible()
        && !links.config.is_for_redis_rs()
        && info.redis_settings().protocol() == ProtocolVersion::RESP2
        && matches!(info.addr(), ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_))
}

/// redis-rs's connection.
async fn delegate(
    links: &SharedLinks,
    member: &Arc<Member<Endpoint>>,
    session: &Session,
    state: &Arc<LinkState>,
) -> RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(adapted(member.endpoint().info(), session))?;
    let config = with_push_listener(links, member, state);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    for command in session.others() {
        replay(&mut connection, command).await?;
    }
    Ok(connection)
}

/// The address of a node, with the password that holds now: that of the URL may be no good any more.
pub(super) fn adapted(info: &ConnectionInfo, session: &Session) -> ConnectionInfo {
    let mut settings = info.redis_settings().clone();
    if !settings.skip_set_lib_name() && settings.lib_name().is_none() {
        settings = settings.set_lib_name(LIBRARY_NAME, LIBRARY_VERSION);
    }
    let mut args = Vec::new();
    if let Some(auth) = session.auth()
        && request(auth, &mut args).is_ok()
    {
        let text = |argument: &[u8]| String::from_utf8_lossy(argument).into_owned();
        settings = match args.as_slice() {
            [_, password] => settings.set_username("default").set_password(text(password)),
            [_, user, password] => settings.set_username(text(user)).set_password(text(password)),
            _ => settings,
        };
    }
    // redis-rs 1.x leaves it off: a request would wait for the reply to the one before it.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    info.clone().set_redis_settings(settings).set_tcp_settings(tcp)
}

/// redis-rs's settings for one connection. Over RESP3 it says when the connection is lost, even if no
/// request is under way.
fn with_push_listener(
    links: &SharedLinks,
    member: &Arc<Member<Endpoint>>,
    state: &Arc<LinkState>,
) -> redis::AsyncConnectionConfig {
    let config = links.config.redis.clone();
    let listener = links.config.push_listener();
    let protocol = member.endpoint().info().redis_settings().protocol();
    if listener.is_none() && protocol == ProtocolVersion::RESP2 {
        return config;
    }
    let (node, state) = (Arc::clone(member.name()), Arc::downgrade(state));
    config.set_push_sender(move |message: PushInfo| {
        if message.kind == PushKind::Disconnection
            && let Some(state) = state.upgrade()
        {
            state.close();
        }
        if let Some(listener) = &listener {
            listener(&node, message);
        }
        Ok::<(), RedisError>(())
    })
}

/// Says what was said on the connection before.
async fn replay(connection: &mut MultiplexedConnection, bytes: &[u8]) -> RedisResult<()> {
    let mut args = Vec::new();
    if request(bytes, &mut args).is_ok() {
        let command = command_of(args.into_iter());
        connection.send_packed_command(&command).await?.extract_error()?;
    }
    Ok(())
}

/// A command with these arguments, the first of which is its name.
pub(super) fn command_of<'a>(args: impl Iterator<Item = &'a [u8]>) -> Cmd {
    let mut command = Cmd::new();
    for argument in args {
        command.arg(argument);
    }
    command
}
