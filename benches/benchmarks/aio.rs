//! Requests of many tasks at the same time, through this crate and through redis-rs.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use redis::Cmd;
use redis::aio::ConnectionLike;
use shardwright::AsyncConnectionConfig;
use shardwright::ShardedClient;
use tokio::runtime::Runtime;

use super::List;
use super::client::DEADLINE;
use super::client::MANY;
use super::client::SMALL;
use super::client::WAYS;
use super::client::done;
use super::client::gets;
use super::client::key;
use super::client::length;
use super::client::lengths;
use super::client::sets;
use super::servers::Program;
use super::servers::Server;
use super::servers::Servers;

/// How many tasks ask at the same time.
const TASKS: [usize; 4] = [1, 10, 50, 200];

/// Requests of all tasks together in a pass.
const REQUESTS: usize = 2000;

pub(super) fn add_to(list: &mut List<'_>) {
    let servers: Rc<OnceCell<Servers>> = Rc::default();
    for way in WAYS {
        for tasks in TASKS {
            let name = format!("aio/get_by_{tasks}/{way}");
            let expected = (SMALL * REQUESTS) as u64;
            add(list, &servers, name, REQUESTS, expected, Asking { tasks, requests: gets(SMALL) });
        }
        let mut mget = redis::cmd("MGET");
        mget.arg((0..MANY).map(|index| key(SMALL, index)).collect::<Vec<_>>());
        let count = REQUESTS / MANY;
        let expected = (SMALL * REQUESTS) as u64;
        let asking = Asking { tasks: 10, requests: vec![mget] };
        add(list, &servers, format!("aio/mget_100_by_10/{way}"), count, expected, asking);
    }
}

/// What the tasks of a benchmark do: each of them a share of the requests, one after the other.
struct Asking {
    tasks: usize,
    requests: Vec<Cmd>,
}

fn add(
    list: &mut List<'_>,
    servers: &Rc<OnceCell<Servers>>,
    name: String,
    repeats: usize,
    expected: u64,
    asking: Asking,
) {
    if !(list.is_wanted)(&name) {
        return;
    }
    let Some(started) = servers.get_or_init(|| Server::start_many(Program::RedisServer, 4)) else {
        eprintln!("{name} is left out: redis-server is not installed");
        return;
    };
    // One thread, so that the processor time is that of the requests and not of threads that look for work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let urls: Vec<_> = started.iter().map(Server::url).collect();
    let pass: Box<dyn Fn() -> u64> = if name.contains("/redis-rs/") {
        let client = redis::Client::open(urls[0].as_str()).expect("a URL");
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        let connection = runtime.block_on(connect).expect("the server listens");
        passes(runtime, connection, asking, repeats)
    } else {
        let count = if name.ends_with("/4") { 4 } else { 1 };
        let client = ShardedClient::open(urls[..count].to_vec()).expect("URLs");
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        let connection = runtime.block_on(connect).expect("the servers listen");
        passes(runtime, connection, asking, repeats)
    };
    // The servers live as long as a benchmark does.
    let servers = Rc::clone(servers);
    list.push(name, repeats, expected, move || {
        let _ = &servers;
        pass()
    });
}

fn passes<C>(runtime: Runtime, connection: C, asking: Asking, count: usize) -> Box<dyn Fn() -> u64>
where
    C: ConnectionLike + Clone + Send + 'static,
{
    let mut storing = connection.clone();
    runtime.block_on(async {
        for set in sets(SMALL) {
            done(storing.req_packed_command(&set).await);
        }
    });
    let Asking { tasks, requests } = asking;
    let requests: Arc<[Cmd]> = requests.into();
    Box::new(move || {
        runtime.block_on(async {
            let ask = |task: usize| {
                let (connection, requests) = (connection.clone(), Arc::clone(&requests));
                tokio::spawn(share(connection, requests, task, count / tasks))
            };
            let running: Vec<_> = (0..tasks).map(ask).collect();
            let mut sum = 0;
            for task in running {
                sum += task.await.expect("a task ends");
            }
            sum
        })
    })
}

/// What one task does.
async fn share<C: ConnectionLike>(
    mut connection: C,
    requests: Arc<[Cmd]>,
    task: usize,
    count: usize,
) -> u64 {
    let mut sum = 0;
    for request in 0..count {
        let command = &requests[(task + request * 7) % requests.len()];
        let reply = connection.req_packed_command(command).await;
        sum += match reply {
            Ok(redis::Value::Array(_)) => lengths(reply),
            reply => length(&reply),
        };
    }
    sum
}
