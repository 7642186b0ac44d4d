//! What is measured: one list for `wall`, `icount` and `side_by_side`, a file a subject.
//!
//! A benchmark goes through its inputs once a pass and makes one number of all results, and is refused
//! when an oracle makes another one.

use std::rc::Rc;

#[cfg(feature = "tokio-comp")]
mod aio;
mod building;
#[cfg(feature = "redis")]
mod client;
mod hashing;
mod inputs;
#[cfg(feature = "memcache")]
mod memcached;
#[cfg(feature = "memcache-aio")]
mod memcached_aio;
mod picking;
mod routing;
#[cfg(any(feature = "redis", feature = "memcache"))]
mod servers;

/// One thing that is measured.
pub struct Benchmark {
    name: String,
    repeats: usize,
    expected: u64,
    pass: Box<dyn Fn() -> u64>,
}

/// All benchmarks whose names are wanted. Their inputs are the same on every run.
pub fn wanted(is_wanted: impl Fn(&str) -> bool) -> Vec<Benchmark> {
    let mut list = List { is_wanted: &is_wanted, benchmarks: Vec::new() };
    hashing::add_to(&mut list);
    picking::add_to(&mut list);
    routing::add_to(&mut list);
    building::add_to(&mut list);
    #[cfg(feature = "redis")]
    client::add_to(&mut list);
    #[cfg(feature = "tokio-comp")]
    aio::add_to(&mut list);
    #[cfg(feature = "memcache")]
    memcached::add_to(&mut list);
    #[cfg(feature = "memcache-aio")]
    memcached_aio::add_to(&mut list);
    list.benchmarks
}

impl Benchmark {
    /// The subject, what is done, to how much, and how: `pick/ketama/100/latency`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many times a pass does the thing.
    pub fn repeats(&self) -> usize {
        self.repeats
    }

    /// Goes through all inputs.
    ///
    /// # Panics
    ///
    /// If the results are wrong.
    #[inline]
    pub fn pass(&self) {
        assert_eq!((self.pass)(), self.expected, "{} computes something else", self.name);
    }
}

/// Benchmarks, prepared only if they are wanted: callgrind makes a wait of every instruction.
struct List<'w> {
    is_wanted: &'w dyn Fn(&str) -> bool,
    benchmarks: Vec<Benchmark>,
}

impl List<'_> {
    /// Adds a benchmark that does one thing a pass and makes `expected` of it.
    fn add<P>(&mut self, name: String, expected: u64, prepare: impl FnOnce() -> P)
    where
        P: Fn() -> u64 + 'static,
    {
        if (self.is_wanted)(&name) {
            self.push(name, 1, expected, prepare());
        }
    }

    /// Adds two benchmarks of a function: of calls that overlap as far as the processor can, and under
    /// `name/latency` of calls each of which waits for the result of the one before.
    ///
    /// `prepare` answers the inputs, the function, and an oracle that it has to agree with.
    fn add_pair<T, F, O>(&mut self, name: String, prepare: impl FnOnce() -> (Rc<[T]>, F, O))
    where
        T: 'static,
        F: Fn(&T) -> u32 + Clone + 'static,
        O: Fn(&T) -> u32,
    {
        let latency = format!("{name}/latency");
        let wanted = [&name, &latency].map(|name| (self.is_wanted)(name));
        if wanted == [false, false] {
            return;
        }
        let (inputs, function, oracle) = prepare();
        for input in inputs.iter() {
            assert_eq!(function(input), oracle(input), "{name} computes something else");
        }
        let repeats = inputs.len();
        if wanted[0] {
            let (inputs, function) = (Rc::clone(&inputs), function.clone());
            let expected = overlapping(&inputs, &oracle);
            self.push(name, repeats, expected, move || overlapping(&inputs, &function));
        }
        if wanted[1] {
            let expected = chained(&inputs, &oracle);
            self.push(latency, repeats, expected, move || chained(&inputs, &function));
        }
    }

    fn push(
        &mut self,
        name: String,
        repeats: usize,
        expected: u64,
        pass: impl Fn() -> u64 + 'static,
    ) {
        self.benchmarks.push(Benchmark { name, repeats, expected, pass: Box::new(pass) });
    }
}

fn overlapping<T>(inputs: &[T], function: impl Fn(&T) -> u32) -> u64 {
    inputs.iter().map(|input| u64::from(function(input))).sum()
}

/// Which input is next depends on the last result; finding it costs about 2 ns.
fn chained<T>(inputs: &[T], function: impl Fn(&T) -> u32) -> u64 {
    assert!(inputs.len().is_power_of_two(), "a division would cost more than what is measured");
    let mask = inputs.len() - 1;
    let mut sum = 0;
    let mut at = 0;
    for _ in 0..inputs.len() {
        let result = function(&inputs[at & mask]);
        sum += u64::from(result);
        at += 1 + (result & 1) as usize;
    }
    sum
}
