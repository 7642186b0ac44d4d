//! A pool of asynchronous connections, managed by bb8. r2d2 and deadpool are used alike: the features `r2d2`
//! (synchronous connections) and `deadpool` (`DeadpoolManager`) have their managers.
//!
//! ```text
//! cargo run --example pool --features bb8 -- redis://127.0.0.1:6379,redis://127.0.0.1:6380
//! ```

use redis::AsyncCommands;
use shardwright::ShardedClient;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let nodes = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".into());
    // With redis-rs this line was `redis::Client::open(…)`, and all others were the same.
    let client = ShardedClient::open(nodes)?;
    let pool = bb8::Pool::builder().max_size(3).build(client).await?;

    let tasks = (0..12).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut connection = pool.get().await?;
            let () = connection.set_ex(format!("{number}:pool"), number * number, 60).await?;
            Ok::<_, Failure>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }

    let mut connection = pool.get().await?;
    let keys: Vec<_> = (0..12).map(|number| format!("{number}:pool")).collect();
    let squares: Vec<u64> = connection.mget(&keys).await?;
    println!("{squares:?}");
    println!("{} connections served them", pool.state().connections);
    let () = connection.del(keys).await?;
    Ok(())
}
