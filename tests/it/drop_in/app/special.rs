//! HyperLogLog, geo and streams.

use super::Log;
use super::redis;
use super::say;
use redis::Commands;
use redis::RedisResult;
use redis::Value;
use redis::geo;
use redis::streams::StreamId;
use redis::streams::StreamMaxlen;
use redis::streams::StreamPendingReply;
use redis::streams::StreamRangeReply;
use redis::streams::StreamReadOptions;
use redis::streams::StreamReadReply;

pub(super) fn run(
    _: &redis::Client,
    con: &mut redis::Connection,
    log: &mut Log,
) -> RedisResult<()> {
    hyperloglog(con, log)?;
    places(con, log)?;
    streams(con, log)?;
    groups(con, log)
}

fn hyperloglog(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.pfadd::<_, _, bool>("{p}a", &["x", "y"]));
    say!(log, con.pfadd::<_, _, bool>("{p}a", "x"));
    say!(log, con.pfadd::<_, _, bool>("{p}b", &["y", "z"]));
    say!(log, con.pfcount::<_, usize>("{p}a"));
    say!(log, con.pfcount::<_, usize>(&["{p}a", "{p}b"]));
    say!(log, con.pfmerge::<_, _, Value>("{p}c", &["{p}a", "{p}b"]));
    say!(log, con.pfcount::<_, usize>("{p}c"));
    Ok(())
}

fn places(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    let towns = [
        (geo::Coord::lon_lat("13.361389", "38.115556"), "Palermo"),
        (geo::Coord::lon_lat("15.087269", "37.502669"), "Catania"),
    ];
    say!(log, con.geo_add::<_, _, usize>("{g}towns", &towns));
    say!(
        log,
        con.geo_dist::<_, _, _, f64>("{g}towns", "Palermo", "Catania", geo::Unit::Kilometers)
    );
    say!(log, con.geo_hash::<_, _, Vec<String>>("{g}towns", &["Palermo", "Catania"]));
    say!(
        log,
        con.geo_pos::<_, _, Vec<Option<geo::Coord<f64>>>>("{g}towns", &["Palermo", "absent"])
    );
    let options = geo::RadiusOptions::default().with_dist().order(geo::RadiusOrder::Asc);
    let found: Vec<geo::RadiusSearchResult> =
        con.geo_radius("{g}towns", 15.0, 37.0, 200.0, geo::Unit::Kilometers, options)?;
    say!(log, found.iter().map(|town| (&town.name, town.dist)).collect::<Vec<_>>());
    let store = "GEOSEARCHSTORE {g}near {g}towns FROMLONLAT 15 37 BYRADIUS 100 km";
    let mut words = store.split(' ');
    let mut command = redis::cmd(words.next().unwrap_or_default());
    command.arg(words.collect::<Vec<_>>());
    say!(log, command.query::<i64>(con));
    say!(log, con.zrange::<_, Vec<String>>("{g}near", 0, -1));
    Ok(())
}

fn ids(entries: &[StreamId]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {:?}", entry.id, entry.get::<String>("field"))).collect()
}

fn streams(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.xadd::<_, _, _, _, String>("{x}a", "1-1", &[("field", "one")]));
    say!(log, con.xadd::<_, _, _, _, String>("{x}a", "1-2", &[("field", "two")]));
    say!(log, con.xadd::<_, _, _, _, String>("{x}b", "5-1", &[("field", "five")]));
    say!(log, con.xlen::<_, usize>("{x}a"));
    let range: StreamRangeReply = con.xrange_all("{x}a")?;
    say!(log, ids(&range.ids));
    let range: StreamRangeReply = con.xrevrange_all("{x}a")?;
    say!(log, ids(&range.ids));
    let read: StreamReadReply = con.xread(&["{x}a", "{x}b"], &["1-1", "0"])?;
    let keys: Vec<_> = read.keys.iter().map(|key| (&key.key, ids(&key.ids))).collect();
    say!(log, keys);
    let options = StreamReadOptions::default().block(10).count(5);
    let nothing: Option<StreamReadReply> = con.xread_options(&["{x}a"], &["$"], &options)?;
    say!(log, nothing.map(|reply| reply.keys.len()));
    say!(log, con.xdel::<_, _, usize>("{x}a", &["1-1"]));
    say!(log, con.xtrim::<_, usize>("{x}a", StreamMaxlen::Equals(0)));
    say!(log, con.xinfo_stream::<_, redis::streams::StreamInfoStreamReply>("{x}b")?.length);
    Ok(())
}

fn groups(con: &mut redis::Connection, log: &mut Log) -> RedisResult<()> {
    say!(log, con.xgroup_create_mkstream::<_, _, _, Value>("{x}c", "group", "0"));
    for number in 1..=3 {
        let id = format!("{number}-0");
        let _: String = con.xadd("{x}c", id, &[("field", number)])?;
    }
    let options = StreamReadOptions::default().group("group", "me").count(2);
    let read: StreamReadReply = con.xread_options(&["{x}c"], &[">"], &options)?;
    say!(log, read.keys.iter().map(|key| ids(&key.ids)).collect::<Vec<_>>());
    let pending: StreamPendingReply = con.xpending("{x}c", "group")?;
    say!(log, pending.count());
    say!(log, con.xack::<_, _, _, usize>("{x}c", "group", &["1-0"]));
    say!(log, con.xgroup_delconsumer::<_, _, _, usize>("{x}c", "group", "me"));
    say!(log, con.xgroup_destroy::<_, _, bool>("{x}c", "group"));
    Ok(())
}
