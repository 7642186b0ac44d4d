//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindler and others).

use std::fmt;
use std::sync::Arc;

use super::NodeSet;
use super::Ring;
use super::RingNode;
use super::mix::mix;
use crate::hash::md5_digest;
use crate::node::NodeId;

/// Every node draws a number for the hash; the highest one owns it.
///
/// The number is uniform in (0, 1), `u`; with weights the score is `-weight / ln u`, which wins in
/// proportion to the weight. A node that comes or goes changes nobody else's number.
pub(super) struct RendezvousRing {
    candidates: Vec<Candidate>,
    is_weighted: bool,
}

#[derive(Clone)]
struct Candidate {
    seed: u64,
    weight: f64,
    id: NodeId,
}

impl RendezvousRing {
    pub(super) fn new(nodes: &[RingNode]) -> Self {
        let candidate = |node: &RingNode| {
            let [low, high, ..] = md5_digest(node.name().as_bytes());
            Candidate {
                seed: u64::from(high) << 32 | u64::from(low),
                weight: f64::from(node.weight().as_u32()),
                id: node.id(),
            }
        };
        Self::from_candidates(nodes.iter().map(candidate).collect())
    }

    fn from_candidates(candidates: Vec<Candidate>) -> Self {
        let is_weighted = candidates.windows(2).any(|pair| pair[0].weight != pair[1].weight);
        Self { candidates, is_weighted }
    }
}

impl Candidate {
    fn draw(&self, hash: u32) -> u64 {
        mix(self.seed ^ mix(u64::from(hash)))
    }

    fn score(&self, draw: u64) -> f64 {
        // 52 bits and a half: strictly between 0 and 1, and exact.
        let uniform = ((draw >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
        -self.weight / logarithm(uniform)
    }
}

impl Ring for RendezvousRing {
    fn pick(&self, hash: u32) -> NodeId {
        let mut winner = self.candidates[0].id;
        let mut best = (f64::NEG_INFINITY, 0);
        for candidate in &self.candidates {
            let draw = candidate.draw(hash);
            // With equal weights the order of the scores is the order of the draws.
            let score = if self.is_weighted { candidate.score(draw) } else { 0.0 };
            if (score, draw) > best {
                best = (score, draw);
                winner = candidate.id;
            }
        }
        winner
    }

    fn without(&self, ejected: &NodeSet) -> Option<Arc<dyn Ring>> {
        let live = |candidate: &&Candidate| !ejected.contains(candidate.id);
        let candidates: Vec<_> = self.candidates.iter().filter(live).cloned().collect();
        (!candidates.is_empty())
            .then(|| Arc::new(Self { candidates, is_weighted: self.is_weighted }) as Arc<dyn Ring>)
    }
}

impl fmt::Debug for RendezvousRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RendezvousRing")
            .field("nodes", &self.candidates.len())
            .finish_non_exhaustive()
    }
}

/// The natural logarithm of a number strictly between 0 and 1, from additions, multiplications and
/// divisions alone: they round alike on every machine, which `f64::ln` does not promise, and a
/// last digit that differs would be a key that moves.
fn logarithm(number: f64) -> f64 {
    const MANTISSA: u32 = 52;
    let bits = number.to_bits();
    let mut exponent = (bits >> MANTISSA) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & ((1 << MANTISSA) - 1) | 1023 << MANTISSA);
    if mantissa > std::f64::consts::SQRT_2 {
        // A number just below 1 must not become the difference of two large ones.
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), a series that converges fast for m around 1.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for denominator in (1..=23).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(denominator);
    }
    2.0 * ratio * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for step in 1..10_000 {
            let number = f64::from(step) / 10_000.0;
            let error = (logarithm(number) - number.ln()).abs();
            assert!(error <= 1e-15 * number.ln().abs(), "ln {number}: off by {error}");
        }
        assert!((logarithm(1e-12) - 1e-12_f64.ln()).abs() < 1e-13);
    }
}
