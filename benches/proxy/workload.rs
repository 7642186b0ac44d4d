//! What is asked of the proxies, and how much less than nutcracker's processor time it may take.

/// One kind of traffic: so many connections, each of which sends a batch, waits for all replies and sends the next.
pub struct Workload {
    pub name: &'static str,
    pub protocol: Protocol,
    pub request: Request,
    pub connections: usize,
    /// Requests of a batch.
    pub pipeline: usize,
    /// Bytes of a value.
    pub value: usize,
    /// How many keys there are.
    pub keys: u32,
    /// The processor time of a request, nutcracker's being 1.
    pub goal: Option<Goal>,
    /// How many requests a second it must serve, those of one server that is asked directly being 1.
    pub share: Option<f64>,
    /// System calls and user instructions of a request, absolute.
    pub system_calls: Option<Goal>,
    pub instructions: Option<Goal>,
}

/// A figure that has to be reached, and one that would be good. Smaller is better.
#[derive(Clone, Copy)]
pub struct Goal {
    pub must: f64,
    pub aim: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Redis,
    Memcached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Get,
    Set,
    /// With so many keys.
    MultiGet(usize),
    MultiSet(usize),
}

const KIB: usize = 1024;

/// All of them, in the order in which they are measured: what has the same keys and values stands together.
pub const WORKLOADS: [Workload; 18] = [
    small("get_c50", Request::Get, 50, 1).cpu(0.80, 0.68).calls(2.5, 2.0).counted(1_100.0, 600.0),
    small("set_c50", Request::Set, 50, 1).cpu(0.80, 0.68),
    small("get_p16", Request::Get, 50, 16).cpu(0.38, 0.30).counted(750.0, 450.0),
    small("set_p16", Request::Set, 50, 16).cpu(0.38, 0.30),
    small("get_c512", Request::Get, 512, 1).cpu(0.68, 0.55),
    small("mget10", Request::MultiGet(10), 50, 1).cpu(0.47, 0.38).counted(10_500.0, 5_000.0),
    small("mget100", Request::MultiGet(100), 50, 1)
        .cpu(0.35, 0.28)
        .share(0.90)
        .counted(52_000.0, 27_000.0),
    small("mset10", Request::MultiSet(10), 50, 1).cpu(0.54, 0.45),
    // Processor time says little of these two: waking up costs more than all that is done.
    small("get_c1", Request::Get, 1, 1).calls(6.0, 6.0),
    small("mget100_c1", Request::MultiGet(100), 1, 1).calls(12.2, 12.0),
    large("get_64k", Request::Get, 16, 64 * KIB, 200).cpu(0.82, 0.70),
    large("set_64k", Request::Set, 16, 64 * KIB, 200).cpu(0.97, 0.80),
    large("get_1m", Request::Get, 4, KIB * KIB, 16).cpu(0.90, 0.75),
    large("set_1m", Request::Set, 4, KIB * KIB, 16).cpu(0.90, 0.75),
    small("mc_get_c50", Request::Get, 50, 1).of_memcached().cpu(0.80, 0.68),
    small("mc_set_c50", Request::Set, 50, 1).of_memcached(),
    small("mc_mget10", Request::MultiGet(10), 50, 1).of_memcached().cpu(0.47, 0.38),
    small("mc_mget100", Request::MultiGet(100), 50, 1).of_memcached().cpu(0.40, 0.30),
];

const fn small(
    name: &'static str,
    request: Request,
    connections: usize,
    pipeline: usize,
) -> Workload {
    Workload {
        name,
        protocol: Protocol::Redis,
        request,
        connections,
        pipeline,
        value: 64,
        keys: 10_000,
        goal: None,
        share: None,
        system_calls: None,
        instructions: None,
    }
}

const fn large(
    name: &'static str,
    request: Request,
    connections: usize,
    value: usize,
    keys: u32,
) -> Workload {
    Workload { value, keys, ..small(name, request, connections, 1) }
}

impl Workload {
    const fn of_memcached(self) -> Self {
        Self { protocol: Protocol::Memcached, ..self }
    }

    const fn cpu(self, must: f64, aim: f64) -> Self {
        Self { goal: Some(Goal { must, aim }), ..self }
    }

    const fn share(self, share: f64) -> Self {
        Self { share: Some(share), ..self }
    }

    const fn calls(self, must: f64, aim: f64) -> Self {
        Self { system_calls: Some(Goal { must, aim }), ..self }
    }

    const fn counted(self, must: f64, aim: f64) -> Self {
        Self { instructions: Some(Goal { must, aim }), ..self }
    }

    /// What stores every one of its keys, in order, on a server that is asked directly.
    pub const fn filling(&self) -> Self {
        let pipeline = if self.value > KIB { 1 } else { 50 };
        let filling = small("filling", Request::Set, 1, pipeline);
        Self { protocol: self.protocol, value: self.value, keys: self.keys, ..filling }
    }

    /// Whether the servers hold the same for both.
    pub fn shares_keys_with(&self, other: &Self) -> bool {
        (self.protocol, self.value, self.keys) == (other.protocol, other.value, other.keys)
    }
}

impl Request {
    /// How many keys it has.
    pub fn keys(self) -> usize {
        match self {
            Self::Get | Self::Set => 1,
            Self::MultiGet(keys) | Self::MultiSet(keys) => keys,
        }
    }

    pub fn is_storing(self) -> bool {
        matches!(self, Self::Set | Self::MultiSet(_))
    }
}

impl Goal {
    /// How a figure compares.
    pub fn verdict(self, figure: f64) -> &'static str {
        if figure <= self.aim {
            "aim"
        } else if figure <= self.must {
            "must"
        } else {
            "MISSED"
        }
    }
}
