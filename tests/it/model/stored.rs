//! Looks at what both sides of a case store.

use super::data::Data;
use super::data::data;
use super::data::difference;
use super::data::digest;
use super::sides::Sides;
use super::step::args;
use super::step::ask;

impl Sides<'_> {
    /// Whether both sides store the same, each key being where the pool looks for it.
    pub fn compare_data(&mut self) -> Result<(), String> {
        let theirs = data(&mut self.watchers[..1])?;
        let ours = data(&mut self.watchers[1..])?;
        self.check_places(&ours)?;
        difference(&ours, &theirs).map_or(Ok(()), Err)
    }

    /// The same, less thoroughly and faster.
    pub fn compare_digests(&mut self) -> Result<(), String> {
        if self.setting.has_databases {
            return self.compare_data();
        }
        let mut digests = self.watchers.iter_mut().map(digest);
        let theirs = digests.next().unwrap_or_default();
        let ours = digests.fold(vec![0; theirs.len()], |sum, digest| {
            sum.iter().zip(digest).map(|(one, other)| one ^ other).collect()
        });
        if ours == theirs {
            return Ok(());
        }
        self.compare_data().and(Err("the digests differ, and nothing that we look at does".into()))
    }

    fn check_places(&mut self, ours: &Data) -> Result<(), String> {
        // The servers are in the order of the list, and the ids of the nodes may be in another.
        for ((_, key), entry) in ours {
            let owner = self.client.node_for_key(key.as_slice());
            let port = owner
                .and_then(|node| node.address().to_string().rsplit(':').next().map(str::to_string));
            let here = self.port_of(entry.server());
            if port.as_deref() != Some(here.as_str()) {
                let key = key.escape_ascii();
                return Err(format!("\"{key}\" is on {here}, and the pool looks on {port:?}"));
            }
        }
        Ok(())
    }

    fn port_of(&mut self, server: usize) -> String {
        let reply = ask(&mut self.watchers[1 + server], &args("CONFIG GET port"));
        let reply: Vec<String> =
            reply.and_then(|reply| Ok(redis::from_redis_value(reply)?)).unwrap_or_default();
        reply.into_iter().nth(1).unwrap_or_default()
    }
}
