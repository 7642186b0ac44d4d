//! The task that sees to it that each node is listened to for what it should be.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::Either;
use futures_util::future::select;
use redis::Msg;
use redis::RedisError;
use redis::RedisResult;
use redis::Value;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::station::Order;
use super::station::Station;
use crate::client::aio::dialing::BackOff;
use crate::client::aio::dialing::GLANCE;
use crate::client::aio::runtime::Task;
use crate::client::aio::runtime::sleep;
use crate::client::aio::runtime::spawn;
use crate::client::endpoint::Endpoint;
use crate::client::pubsub::Kind;
use crate::client::pubsub::Subscriptions;
use crate::client::pubsub::find_nodes;
use crate::client::shared::Shared;
use crate::node::NodeId;
use crate::topology::Member;
use crate::topology::Snapshot;

/// What the driver is asked.
#[derive(Debug)]
pub(super) enum Request {
    Listen {
        kind: Kind,
        names: Vec<Vec<u8>>,
        reply: oneshot::Sender<Arranged>,
    },
    /// To all of the kind, if none is named.
    Forget {
        kind: Kind,
        names: Vec<Vec<u8>>,
        reply: oneshot::Sender<Arranged>,
    },
    Ping {
        arguments: Vec<Vec<u8>>,
        reply: oneshot::Sender<Option<Pinged>>,
    },
    /// By a station: its node lets nobody listen to this.
    Refused {
        kind: Kind,
        name: Vec<u8>,
    },
}

/// Where what was asked is carried out.
#[derive(Debug)]
pub(super) struct Arranged {
    pub(super) awaited: Vec<Awaited<()>>,
    /// That a channel has no node at the moment.
    pub(super) homeless: Option<RedisError>,
}

/// A node whose word is waited for.
#[derive(Debug)]
pub(super) struct Awaited<T> {
    pub(super) member: Arc<Member<Endpoint>>,
    /// Of the time when it was asked.
    pub(super) epoch: u64,
    pub(super) is_up: Arc<AtomicBool>,
    pub(super) outcome: oneshot::Receiver<RedisResult<T>>,
}

pub(super) type Pinged = Awaited<Value>;

#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    requests: UnboundedReceiver<Request>,
    /// For the stations.
    sender: UnboundedSender<Request>,
    messages: UnboundedSender<Msg>,
    wanted: Subscriptions,
    generation: u64,
    posts: Vec<Post>,
}

/// A station, seen from outside.
#[derive(Debug)]
struct Post {
    member: Arc<Member<Endpoint>>,
    /// What it was told to listen to.
    assigned: Subscriptions,
    orders: UnboundedSender<Order>,
    is_up: Arc<AtomicBool>,
    _task: Task,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: UnboundedReceiver<Request>,
        sender: UnboundedSender<Request>,
        messages: UnboundedSender<Msg>,
    ) -> Self {
        let generation = shared.topology.generation();
        Self {
            shared,
            requests,
            sender,
            messages,
            wanted: Subscriptions::default(),
            generation,
            posts: Vec::new(),
        }
    }

    /// Runs until it is dropped, and ends all stations with it.
    pub(super) async fn run(mut self) {
        loop {
            let request = self.next().await;
            if self.generation != self.shared.topology.generation() {
                self.follow();
            }
            if let Some(request) = request {
                self.carry_out(request);
            }
        }
    }

    /// The next request, or none when it is time to look at the topology.
    async fn next(&mut self) -> Option<Request> {
        // Without a station there is nothing that could go elsewhere.
        if self.posts.is_empty() && self.wanted.is_empty() {
            return self.requests.recv().await;
        }
        match select(pin!(self.requests.recv()), pin!(sleep(GLANCE))).await {
            Either::Left((request, _)) => request,
            Either::Right(_) => None,
        }
    }

    fn carry_out(&mut self, request: Request) {
        match request {
            Request::Listen { kind, names, reply } => {
                let arranged = self.listen(kind, &names);
                let _ = reply.send(arranged);
            }
            Request::Forget { kind, names, reply } => {
                let awaited = self.forget(kind, names);
                let _ = reply.send(Arranged { awaited, homeless: None });
            }
            Request::Ping { arguments, reply } => {
                let _ = reply.send(self.ping(arguments));
            }
            Request::Refused { kind, name } => {
                // Other nodes may have let us. Nobody waits for them to stop.
                drop(self.forget(kind, vec![name]));
            }
        }
    }

    fn listen(&mut self, kind: Kind, names: &[Vec<u8>]) -> Arranged {
        self.wanted.of_mut(kind).extend(names.iter().cloned());
        let snapshot = self.shared.topology.current();
        let router = snapshot.router();
        let mut awaited = Vec::new();
        for node in router.live_nodes() {
            let names = names.iter().filter(|name| kind.is_heard_on(name, node, router));
            let names: Vec<_> = names.cloned().collect();
            if !names.is_empty() {
                awaited.push(self.post(node, &snapshot).listen(kind, names));
            }
        }
        let channels = if kind == Kind::Channel { names } else { &[] };
        let homeless = find_nodes(channels, router).err().map(RedisError::from);
        Arranged { awaited, homeless }
    }

    fn forget(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> Vec<Awaited<()>> {
        let names = self.wanted.unsubscribe(kind, names);
        self.posts.iter_mut().filter_map(|post| post.forget(kind, &names)).collect()
    }

    fn ping(&self, arguments: Vec<Vec<u8>>) -> Option<Pinged> {
        let is_up = |post: &&Post| post.is_up.load(Relaxed);
        let is_needed = |post: &&Post| !post.assigned.is_empty();
        // If all that should be listened to are lost, one of them is to say so.
        let post = self.posts.iter().find(is_up).or_else(|| self.posts.iter().find(is_needed))?;
        let (reply, outcome) = oneshot::channel();
        post.tell(Order::Ping { arguments, reply });
        Some(post.awaited(outcome))
    }

    /// Has each node listened to for what it should be as the topology is now.
    fn follow(&mut self) {
        let snapshot = self.shared.topology.current();
        self.generation = snapshot.generation();
        let router = snapshot.router();
        let is_live = |member: &Member<Endpoint>| {
            router.live_nodes().any(|node| snapshot.member(node).id() == member.id())
        };
        self.posts.retain(|post| is_live(&post.member));
        for node in router.live_nodes() {
            let wanted = self.wanted.heard_on(node, router);
            let id = snapshot.member(node).id();
            if !wanted.is_empty() || self.posts.iter().any(|post| post.member.id() == id) {
                self.post(node, &snapshot).assign(&wanted);
            }
        }
    }

    /// The post of `node`, which is opened if there is none.
    fn post(&mut self, node: NodeId, snapshot: &Snapshot<Endpoint>) -> &mut Post {
        let member = snapshot.member(node);
        let place = self.posts.iter().position(|post| post.member.id() == member.id());
        let place = place.unwrap_or_else(|| {
            let post = self.open(member);
            self.posts.push(post);
            self.posts.len() - 1
        });
        &mut self.posts[place]
    }

    fn open(&self, member: &Arc<Member<Endpoint>>) -> Post {
        let (sender, orders) = mpsc::unbounded_channel();
        let is_up = Arc::new(AtomicBool::new(false));
        let station = Station {
            shared: Arc::clone(&self.shared),
            member: Arc::clone(member),
            orders,
            messages: self.messages.clone(),
            driver: self.sender.clone(),
            is_up: Arc::clone(&is_up),
            wanted: Subscriptions::default(),
            waiting: Vec::new(),
            back_off: BackOff::default(),
        };
        Post {
            member: Arc::clone(member),
            assigned: Subscriptions::default(),
            orders: sender,
            is_up,
            _task: spawn(station.run()),
        }
    }
}

impl Post {
    fn listen(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> Awaited<()> {
        self.assigned.of_mut(kind).extend(names.iter().cloned());
        let (reply, outcome) = oneshot::channel();
        self.tell(Order::Listen { kind, names, reply: Some(reply) });
        self.awaited(outcome)
    }

    fn forget(&mut self, kind: Kind, names: &[Vec<u8>]) -> Option<Awaited<()>> {
        let assigned = self.assigned.of_mut(kind);
        let names: Vec<_> = names.iter().filter(|name| assigned.remove(*name)).cloned().collect();
        if names.is_empty() {
            return None;
        }
        let (reply, outcome) = oneshot::channel();
        self.tell(Order::Forget { kind, names, reply: Some(reply) });
        Some(self.awaited(outcome))
    }

    /// Tells the station what changed. Nobody waits for it.
    fn assign(&mut self, wanted: &Subscriptions) {
        for kind in Kind::ALL {
            let (old, new) = (self.assigned.of(kind), wanted.of(kind));
            let come: Vec<_> = new.difference(old).cloned().collect();
            let gone: Vec<_> = old.difference(new).cloned().collect();
            if !come.is_empty() {
                self.tell(Order::Listen { kind, names: come, reply: None });
            }
            if !gone.is_empty() {
                self.tell(Order::Forget { kind, names: gone, reply: None });
            }
        }
        self.assigned = wanted.clone();
    }

    fn tell(&self, order: Order) {
        // A station ends after its driver.
        let _ = self.orders.send(order);
    }

    fn awaited<T>(&self, outcome: oneshot::Receiver<RedisResult<T>>) -> Awaited<T> {
        Awaited {
            member: Arc::clone(&self.member),
            epoch: self.member.epoch(),
            is_up: Arc::clone(&self.is_up),
            outcome,
        }
    }
}
