//! Queues of jobs: streams, consumer groups, and what was not acknowledged.

use std::collections::BTreeMap;
use std::env;

use redis::Commands;
use redis::RedisResult;
use redis::streams::StreamClaimReply;
use redis::streams::StreamId;
use redis::streams::StreamInfoGroupsReply;
use redis::streams::StreamMaxlen;
use redis::streams::StreamPendingCountReply;
use redis::streams::StreamPendingReply;
use redis::streams::StreamRangeReply;
use redis::streams::StreamReadOptions;
use redis::streams::StreamReadReply;

struct Queue<'a> {
    con: &'a mut redis::Connection,
    stream: String,
}

fn describe(entry: &StreamId) -> String {
    let fields: BTreeMap<_, _> =
        entry.map.iter().map(|(name, _)| (name, entry.get::<String>(name))).collect();
    format!("{} {fields:?}", entry.id)
}

impl Queue<'_> {
    fn prepare(&mut self) -> RedisResult<()> {
        let () = self.con.xgroup_create_mkstream(&self.stream, "workers", "0")?;
        let again = self.con.xgroup_create_mkstream::<_, _, _, ()>(&self.stream, "workers", "0");
        println!("{}: {}", self.stream, again.unwrap_err());
        Ok(())
    }

    fn enqueue(&mut self, jobs: std::ops::Range<u32>) -> RedisResult<()> {
        for job in jobs {
            let id = format!("{}-1", job + 1);
            let fields =
                [("job", format!("{} {job}", self.stream)), ("times", (job * 2).to_string())];
            let id: String =
                self.con.xadd_maxlen(&self.stream, StreamMaxlen::Equals(100), id, &fields)?;
            println!("{} has {id}", self.stream);
        }
        Ok(())
    }

    fn take(&mut self, consumer: &str, count: usize) -> RedisResult<Vec<String>> {
        let options = StreamReadOptions::default().group("workers", consumer).count(count);
        let reply: Option<StreamReadReply> =
            self.con.xread_options(&[&self.stream], &[">"], &options)?;
        let mut ids = Vec::new();
        for stream in reply.map(|reply| reply.keys).unwrap_or_default() {
            for entry in &stream.ids {
                println!("{consumer} takes {}: {}", stream.key, describe(entry));
                ids.push(entry.id.clone());
            }
        }
        Ok(ids)
    }

    fn done(&mut self, ids: &[String]) -> RedisResult<i64> {
        self.con.xack(&self.stream, "workers", ids)
    }

    fn report(&mut self) -> RedisResult<()> {
        let groups: StreamInfoGroupsReply = self.con.xinfo_groups(&self.stream)?;
        for group in groups.groups {
            println!(
                "{} {} {} {}",
                group.name, group.consumers, group.pending, group.last_delivered_id
            );
        }
        let pending: StreamPendingReply = self.con.xpending(&self.stream, "workers")?;
        println!("pending: {}", pending.count());
        let pending: StreamPendingCountReply =
            self.con.xpending_count(&self.stream, "workers", "-", "+", 10)?;
        for one in pending.ids {
            println!("{} of {} taken {} times", one.id, one.consumer, one.times_delivered);
        }
        Ok(())
    }
}

fn main() -> RedisResult<()> {
    let client = redis::Client::open(env::var("REDIS_URL").expect("REDIS_URL is set"))?;
    let mut con = client.get_connection()?;
    for name in ["mail", "invoices", "thumbnails", "backups"] {
        let mut queue = Queue { con: &mut con, stream: name.into() };
        queue.prepare()?;
        queue.enqueue(0..6)?;
        let ids = queue.take("first", 2)?;
        println!("acknowledged: {}", queue.done(&ids)?);
        let lost = queue.take("second", 3)?;
        queue.report()?;
        let claimed: StreamClaimReply =
            queue.con.xclaim(name, "workers", "first", 0, &lost[..2])?;
        println!("claimed: {:?}", claimed.ids.iter().map(describe).collect::<Vec<_>>());
        println!("acknowledged: {}", queue.done(&lost)?);
        queue.report()?;
        let range: StreamRangeReply = queue.con.xrange_count(name, "2", "+", 2)?;
        println!("range: {:?}", range.ids.iter().map(describe).collect::<Vec<_>>());
        let none = StreamReadOptions::default().block(5).count(1);
        println!(
            "nothing new: {:?}",
            queue
                .con
                .xread_options::<_, _, Option<StreamReadReply>>(&[name], &["$"], &none)?
                .is_none()
        );
        println!(
            "length: {} {}",
            queue.con.xlen::<_, i64>(name)?,
            queue.con.xtrim::<_, i64>(name, StreamMaxlen::Equals(1))?
        );
    }
    // Several streams at once: they belong together, and say so.
    let options = StreamReadOptions::default().count(10);
    for stream in ["{log}:a", "{log}:b"] {
        let _: String = con.xadd(stream, "1-1", &[("line", stream)])?;
    }
    let read: StreamReadReply =
        con.xread_options(&["{log}:a", "{log}:b"], &["0", "0"], &options)?;
    for stream in read.keys {
        println!("{}: {:?}", stream.key, stream.ids.iter().map(describe).collect::<Vec<_>>());
    }
    Ok(())
}
