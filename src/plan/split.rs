//! A request cut by node.

use std::ops::Range;

use super::refusal::no_live_node;
use super::refusal::unroutable;
use super::scatter::Plan;
use crate::command::Gather;
use crate::command::Units;
use crate::error::Result;
use crate::node::NodeId;
#[cfg(feature = "proxy")]
use crate::protocol::resp::append_start;
use crate::protocol::resp::write_array_header;
use crate::protocol::resp::write_bulk_string;
use crate::topology::Router;
use crate::topology::Unroutable;

/// A request whose keys are on several nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    gather: Gather,
    units: Units,
    groups: Groups,
}

/// The units, grouped by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Groups {
    /// Numbers of the units, grouped by node and in the order of the request inside a group.
    order: Vec<u32>,
    /// The fragment of each unit.
    owners: Vec<u16>,
    fragments: Vec<Fragment>,
}

/// Room for splits, used again by whoever makes very many of them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    owners: Vec<NodeId>,
    ends: Vec<End>,
    spare: Vec<Groups>,
}

/// Of a node: how many units it has, and then where the next one goes, and its fragment.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    units: u32,
    fragment: u16,
}

impl Room {
    /// As many spare ones are kept, of no more units than this.
    #[cfg(feature = "proxy")]
    const SPARE: usize = 64;
    #[cfg(feature = "proxy")]
    const UNITS: usize = 1024;

    /// Takes back what a split that is done with was made of.
    #[cfg(feature = "proxy")]
    pub(crate) fn give(&mut self, split: Split) {
        if self.spare.len() < Self::SPARE && split.groups.order.capacity() <= Self::UNITS {
            self.spare.push(split.groups);
        }
        if self.owners.capacity() > Self::UNITS {
            self.owners = Vec::new();
        }
    }
}

/// The part for one node: a range of `order`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fragment {
    node: NodeId,
    range: Range<usize>,
}

impl Split {
    /// Cuts the request `args` by node; a request for one node stays whole.
    ///
    /// # Errors
    ///
    /// No live node; or the one node of the request is ejected and keeps its keys.
    pub(super) fn plan(
        args: &[&[u8]],
        units: Units,
        gather: Gather,
        router: &Router,
        room: &mut Room,
    ) -> Result<Plan> {
        let Room { owners, ends, spare } = room;
        owners.clear();
        owners.reserve(units.count);
        let mut has_ring = true;
        router.route_many(units.keys(args), |_, node| match node {
            Ok(node) | Err(Unroutable::Ejected(node)) => owners.push(node),
            Err(Unroutable::NoLiveNode) => has_ring = false,
        });
        if !has_ring {
            return Err(no_live_node());
        }
        ends.clear();
        ends.resize(router.nodes().len(), End::default());
        for owner in owners.iter() {
            ends[owner.index()].units += 1;
        }
        if let Some(&only) = owners.first()
            && ends[only.index()].units as usize == owners.len()
        {
            return match router.is_refused(only) {
                true => Err(unroutable(Unroutable::Ejected(only), router)),
                false => Ok(Plan::One(only)),
            };
        }
        let mut groups = spare.pop().unwrap_or_default();
        groups.fill(owners, ends);
        Ok(Plan::Split(Self { gather, units, groups }))
    }

    pub(crate) fn gather(&self) -> Gather {
        self.gather
    }

    /// The node of each fragment.
    pub(crate) fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> {
        self.groups.fragments.iter().map(|fragment| fragment.node)
    }

    /// How many keys the request has.
    pub(crate) fn key_count(&self) -> usize {
        self.units.count
    }

    /// The places of a fragment's keys among the keys of the request.
    pub(crate) fn places(&self, fragment: usize) -> &[u32] {
        &self.groups.order[self.groups.fragments[fragment].range.clone()]
    }

    /// The fragment of each key.
    #[cfg(feature = "proxy")]
    pub(crate) fn owners(&self) -> &[u16] {
        &self.groups.owners
    }

    /// The keys of a fragment.
    pub(crate) fn keys<'a>(
        &self,
        fragment: usize,
        args: &[&'a [u8]],
    ) -> impl Iterator<Item = &'a [u8]> {
        let keys = self.places(fragment).iter();
        keys.map(|&place| args[self.units.first + place as usize * self.units.step])
    }

    /// The arguments of a fragment, as a command of its own.
    pub(crate) fn arguments<'a, 's>(
        &'s self,
        fragment: usize,
        args: &'s [&'a [u8]],
    ) -> impl Iterator<Item = &'a [u8]> + 's {
        let Units { first, step, count } = self.units;
        let (head, rest) = args.split_at(first);
        let (middle, tail) = rest.split_at(step * count);
        let places = self.places(fragment).iter();
        let units = places.flat_map(move |&place| &middle[place as usize * step..][..step]);
        head.iter().chain(units).chain(tail).copied()
    }

    /// Appends a fragment to `out`, as a command of its own.
    pub(crate) fn write(&self, fragment: usize, args: &[&[u8]], out: &mut Vec<u8>) {
        let Units { step, count, .. } = self.units;
        let places = self.places(fragment).len();
        write_array_header(out, args.len() - (count - places) * step);
        for argument in self.arguments(fragment, args) {
            write_bulk_string(out, argument);
        }
    }
}

#[cfg(feature = "proxy")]
impl Split {
    /// As [`write`](Self::write), where `args` are slices of `request`, the bytes of the command: those are
    /// copied with their lengths, and nothing is written anew but the number of arguments.
    pub(crate) fn copy(&self, fragment: usize, args: &[&[u8]], request: &[u8], out: &mut Vec<u8>) {
        let Units { first, step, count } = self.units;
        // Where the argument at a place ends, with its line end.
        let end = |place: usize| {
            let argument = args[place];
            let start = argument.as_ptr().addr().wrapping_sub(request.as_ptr().addr());
            start.wrapping_add(argument.len()).wrapping_add(2)
        };
        let places = self.places(fragment);
        let header = request.iter().position(|&byte| byte == b'\n').map_or(0, |line| line + 1);
        let put = |range: Range<usize>, out: &mut Vec<u8>| {
            let bytes = request.get(range.start..).unwrap_or_default();
            append_start(out, bytes, range.len());
        };
        write_array_header(out, args.len() - (count - places.len()) * step);
        put(header..end(first - 1), out);
        let mut units = places.iter().map(|&place| first + place as usize * step).peekable();
        while let Some(unit) = units.next() {
            let mut last = unit + step;
            // What stands together is copied together.
            while units.next_if_eq(&last).is_some() {
                last += step;
            }
            put(end(unit - 1)..end(last - 1), out);
        }
        put(end(first + step * count - 1)..request.len(), out);
    }
}

impl Units {
    fn keys<'a>(self, args: &[&'a [u8]]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (0..self.count).map(move |unit| args[self.first + unit * self.step])
    }
}

impl Groups {
    /// Groups the units by owner, in ascending order of the owners: a counting sort. `ends` has the number of units of
    /// each node.
    fn fill(&mut self, owners: &[NodeId], ends: &mut [End]) {
        self.fragments.clear();
        let mut start = 0;
        for (index, end) in ends.iter_mut().enumerate() {
            let count = end.units;
            *end = End { units: start, fragment: self.fragments.len() as u16 };
            if count > 0
                && let Some(node) = NodeId::new(index)
            {
                self.fragments
                    .push(Fragment { node, range: start as usize..(start + count) as usize });
            }
            start += count;
        }
        self.order.clear();
        self.order.resize(owners.len(), 0);
        self.owners.clear();
        self.owners.extend(owners.iter().enumerate().map(|(unit, owner)| {
            let end = &mut ends[owner.index()];
            self.order[end.units as usize] = unit as u32;
            end.units += 1;
            end.fragment
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn each_node_gets_its_own_keys_in_the_order_of_the_request() {
        let nodes = (0..3).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        let router = Topology::new(nodes).unwrap().router();
        let keys: Vec<_> = (0..9).map(|number| format!("{number}:key")).collect();
        let mut args: Vec<&[u8]> = vec![b"JSON.MSET"];
        for key in &keys {
            args.extend([key.as_bytes(), b"$", b"1"]);
        }
        args.push(b"tail");
        let units = Units { first: 1, step: 3, count: 9 };
        let Plan::Split(split) =
            Split::plan(&args, units, Gather::First, &router, &mut Room::default()).unwrap()
        else {
            panic!("nine keys on one node");
        };
        let mut seen: Vec<u32> = Vec::new();
        for (fragment, node) in split.nodes().enumerate() {
            let mut bytes = Vec::new();
            split.write(fragment, &args, &mut bytes);
            let text = String::from_utf8(bytes).unwrap();
            let mut expected = Vec::new();
            write_array_header(&mut expected, 2 + 3 * split.places(fragment).len());
            write_bulk_string(&mut expected, b"JSON.MSET");
            for key in split.keys(fragment, &args) {
                assert_eq!(router.route(key), Ok(node));
                for argument in [key, b"$", b"1"] {
                    write_bulk_string(&mut expected, argument);
                }
            }
            write_bulk_string(&mut expected, b"tail");
            assert_eq!(text.as_bytes(), expected);
            assert!(split.places(fragment).is_sorted());
            seen.extend(split.places(fragment));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn what_is_copied_is_what_would_be_written() {
        let nodes = (0..3).map(|index| format!("10.0.0.{index}:6379:1").parse().unwrap());
        let router = Topology::new(nodes).unwrap().router();
        for (step, tail) in [(1, 0), (1, 1), (2, 0), (3, 1)] {
            for count in [2, 9, 40] {
                // Keys and values short and long, so that neighbours on one node are of every size.
                let words = (0..count * step)
                    .map(|place| format!("{place}:{}", "x".repeat(place * 7 % 150)));
                let words: Vec<_> = words.chain((0..tail).map(|_| "tail".to_owned())).collect();
                let mut request = Vec::new();
                write_array_header(&mut request, 1 + words.len());
                write_bulk_string(&mut request, b"COMMAND");
                words.iter().for_each(|word| write_bulk_string(&mut request, word.as_bytes()));
                let mut args = Vec::new();
                crate::protocol::resp::frame(&request, &mut args).unwrap();
                let units = Units { first: 1, step, count };
                let room = &mut Room::default();
                let plan = Split::plan(&args, units, Gather::First, &router, room).unwrap();
                let Plan::Split(split) = plan else {
                    assert!(count < 9, "so many keys on one node");
                    continue;
                };
                for fragment in 0..split.nodes().len() {
                    let (mut copied, mut written) = (Vec::new(), Vec::new());
                    split.copy(fragment, &args, &request, &mut copied);
                    split.write(fragment, &args, &mut written);
                    assert_eq!(copied, written, "{step} {tail} {count}");
                }
            }
        }
    }
}
