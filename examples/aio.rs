//! A small service on tokio: it counts the visits of pages. All its tasks share one connection to each node.
//!
//! ```text
//! cargo run --example aio --features tokio-comp -- redis://127.0.0.1:6379,redis://127.0.0.1:6380 127.0.0.1:7070
//!
//! $ nc 127.0.0.1 7070
//! visit home
//! 1
//! show home about
//! home 1, about 0
//! ```

use std::time::Duration;

use redis::AsyncCommands;
use redis::RedisResult;
use redis::aio::ConnectionLike;
use shardwright::EjectPolicy;
use shardwright::ShardedClient;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let nodes = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7070".into());
    let client = ShardedClient::builder()
        .nodes(nodes)?
        .timeout(Duration::from_millis(300))
        .eject(EjectPolicy::fail_fast().retry_timeout(Duration::from_secs(2)))
        .listener(|event| eprintln!("{event}"))
        .build()?;
    let connection = client.get_multiplexed_async_connection().await?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (visitor, _) = listener.accept().await?;
        // Clones are cheap, and share the sockets.
        tokio::spawn(serve(visitor, connection.clone()));
    }
}

async fn serve<C>(mut visitor: TcpStream, mut connection: C) -> Result<(), std::io::Error>
where
    C: ConnectionLike + Send + Sync,
{
    let (reader, mut writer) = visitor.split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match answer(&mut connection, &line).await {
            Ok(reply) => reply,
            // The message says which node it was.
            Err(error) => format!("sorry: {error}"),
        };
        writer.write_all(format!("{reply}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn answer<C>(connection: &mut C, line: &str) -> RedisResult<String>
where
    C: ConnectionLike + Send + Sync,
{
    let words: Vec<_> = line.split_whitespace().collect();
    match words.as_slice() {
        ["visit", page] => {
            let visits: u64 = connection.incr(key(page), 1).await?;
            Ok(visits.to_string())
        }
        // The pages are on different nodes, which are asked at the same time.
        ["show", pages @ ..] if !pages.is_empty() => {
            let keys: Vec<_> = pages.iter().map(|page| key(page)).collect();
            let visits: Vec<Option<u64>> = connection.mget(keys).await?;
            let shown = pages.iter().zip(visits);
            let shown = shown.map(|(page, visits)| format!("{page} {}", visits.unwrap_or(0)));
            Ok(shown.collect::<Vec<_>>().join(", "))
        }
        _ => Ok("say 'visit PAGE' or 'show PAGE…'".into()),
    }
}

fn key(page: &str) -> String {
    format!("{page}:visits")
}
