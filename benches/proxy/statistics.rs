//! What many rounds say together.

/// The median of the ratios within each round, which what disturbs all sides alike does not move, and between
/// what it lies with a probability of 95 %.
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    rounds: usize,
}

impl Ratio {
    pub fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let ratios = sorted(ratios);
        let count = ratios.len() as f64;
        // The ranks of a sign test, with its normal approximation.
        let spread = 0.98 * count.sqrt();
        let low = ((count / 2.0 - spread).floor().max(1.0) as usize) - 1;
        let high = ((count / 2.0 + spread).ceil() as usize).min(ratios.len() - 1);
        Self { median: middle(&ratios), low: ratios[low], high: ratios[high], rounds: ratios.len() }
    }

    /// Whether that is as good as sure. Of fewer rounds than six it never is.
    pub fn is_above_one(&self) -> bool {
        self.rounds >= 6 && self.low > 1.0
    }
}

/// The one in the middle.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    middle(&sorted(figures))
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[half - 1], sorted[half]),
        _ => sorted[half],
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}
