//! The synchronous client on real redis-servers.

use redis::Commands;
use redis::RedisResult;
use shardwright::ShardedClient;

use crate::support::redis_server::RedisServer;

#[test]
fn values_come_back() {
    let Some(servers) = RedisServer::start_many(4) else { return };
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    let client = ShardedClient::open(urls).unwrap();
    let mut con = client.get_connection().unwrap();
    for i in 0..100 {
        let _: () = con.set(format!("{i}:key"), i).unwrap();
    }
    let keys: Vec<_> = (0..100).map(|i| format!("{i}:key")).collect();
    let values: Vec<i64> = con.mget(&keys).unwrap();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    let values: Vec<i64> =
        keys.iter().fold(&mut redis::pipe(), |pipe, key| pipe.get(key)).query(&mut con).unwrap();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    let deleted: i64 = con.del(&keys).unwrap();
    assert_eq!(deleted, 100);
    let missing: RedisResult<i64> = con.get("nothing");
    assert!(missing.is_err());
    println!("{:#?}", client.metrics());
}
