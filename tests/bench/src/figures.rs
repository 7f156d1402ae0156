//! From samples to figures.

use serde_json::{Value, json};
use std::time::Duration;

/// One delivery: when its edit was made, counted from the start of the measurement, and how long it took to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// When the edit was made.
    pub(crate) at: Duration,
    /// How long it took.
    pub(crate) lag: Duration,
}

/// What a server did under the load, in one round.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Edits written.
    pub(crate) edits: u64,
    /// Every delivery to every reader.
    pub(crate) deliveries: Vec<Delivery>,
    /// Time from an edit to the server's word that it is durable there; empty where the server gives no such word.
    pub(crate) acknowledgements: Vec<Duration>,
    /// Processor seconds the server used.
    pub(crate) cpu_seconds: f64,
    /// Megabytes the server holds at the end.
    pub(crate) resident_mb: f64,
    /// Bytes to one reader for one edit, without the WebSocket's own.
    pub(crate) bytes_per_delivery: f64,
    /// Frames to one reader for one edit, where they were counted.
    pub(crate) frames_per_delivery: Option<f64>,
}

/// The figures of one round, or the medians of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) delivered_share: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// How much the median lag grows in a minute, by least squares over seconds.
    pub(crate) growth_ms_per_minute: f64,
    pub(crate) acknowledged_p50_ms: Option<f64>,
    pub(crate) acknowledged_p99_ms: Option<f64>,
    pub(crate) cpu_seconds_per_1000: f64,
    pub(crate) resident_mb: f64,
    pub(crate) bytes_per_delivery: f64,
    pub(crate) frames_per_delivery: Option<f64>,
}

impl Round {
    /// The median lag in milliseconds of each second.
    pub(crate) fn lag_by_second(&self) -> Vec<(f64, f64)> {
        lag_by_second(&self.deliveries)
    }

    /// The round's figures, for this many readers.
    pub(crate) fn figures(&self, readers: usize) -> Figures {
        let mut lags: Vec<f64> = self.deliveries.iter().map(|delivery| ms(delivery.lag)).collect();
        lags.sort_by(f64::total_cmp);
        let mut acknowledged: Vec<f64> = self.acknowledgements.iter().copied().map(ms).collect();
        acknowledged.sort_by(f64::total_cmp);
        let known = !acknowledged.is_empty();
        Figures {
            delivered_share: lags.len() as f64 / (self.edits as f64 * readers as f64).max(1.0),
            p50_ms: quantile(&lags, 0.5),
            p99_ms: quantile(&lags, 0.99),
            max_ms: quantile(&lags, 1.0),
            growth_ms_per_minute: growth(&self.deliveries),
            acknowledged_p50_ms: known.then(|| quantile(&acknowledged, 0.5)),
            acknowledged_p99_ms: known.then(|| quantile(&acknowledged, 0.99)),
            cpu_seconds_per_1000: self.cpu_seconds / (lags.len() as f64 / 1000.0).max(f64::MIN_POSITIVE),
            resident_mb: self.resident_mb,
            bytes_per_delivery: self.bytes_per_delivery,
            frames_per_delivery: self.frames_per_delivery,
        }
    }
}

impl Figures {
    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            quantile(&all, 0.5)
        };
        let counted = rounds.iter().all(|round| round.frames_per_delivery.is_some());
        let acknowledged = rounds.iter().all(|round| round.acknowledged_p50_ms.is_some());
        Self {
            delivered_share: of(|round| round.delivered_share),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            max_ms: of(|round| round.max_ms),
            growth_ms_per_minute: of(|round| round.growth_ms_per_minute),
            acknowledged_p50_ms: acknowledged.then(|| of(|round| round.acknowledged_p50_ms.unwrap_or_default())),
            acknowledged_p99_ms: acknowledged.then(|| of(|round| round.acknowledged_p99_ms.unwrap_or_default())),
            cpu_seconds_per_1000: of(|round| round.cpu_seconds_per_1000),
            resident_mb: of(|round| round.resident_mb),
            bytes_per_delivery: of(|round| round.bytes_per_delivery),
            frames_per_delivery: counted.then(|| of(|round| round.frames_per_delivery.unwrap_or_default())),
        }
    }

    /// For other programs.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "deliveredShare": self.delivered_share,
            "p50Ms": self.p50_ms,
            "p99Ms": self.p99_ms,
            "maxMs": self.max_ms,
            "growthMsPerMinute": self.growth_ms_per_minute,
            "acknowledgedP50Ms": self.acknowledged_p50_ms,
            "acknowledgedP99Ms": self.acknowledged_p99_ms,
            "cpuSecondsPer1000": self.cpu_seconds_per_1000,
            "residentMb": self.resident_mb,
            "bytesPerDelivery": self.bytes_per_delivery,
            "framesPerDelivery": self.frames_per_delivery,
        })
    }
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which `share` of the sorted values lie; the largest for a share of 1.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The median lag in milliseconds of each second in which an edit was made.
fn lag_by_second(deliveries: &[Delivery]) -> Vec<(f64, f64)> {
    let mut seconds: Vec<Vec<f64>> = Vec::new();
    for delivery in deliveries {
        let second = delivery.at.as_secs() as usize;
        if seconds.len() <= second {
            seconds.resize_with(second + 1, Vec::new);
        }
        seconds[second].push(ms(delivery.lag));
    }
    let medians = seconds.iter_mut().enumerate().filter(|(_, lags)| !lags.is_empty()).map(|(second, lags)| {
        lags.sort_by(f64::total_cmp);
        (second as f64, quantile(lags, 0.5))
    });
    medians.collect()
}

/// The slope, in milliseconds a minute, of the line through the median lag of each second.
fn growth(deliveries: &[Delivery]) -> f64 {
    let points = lag_by_second(deliveries);
    let count = points.len() as f64;
    let (mean_x, mean_y) = (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let spread: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum::<f64>() / spread;
    if spread == 0.0 { 0.0 } else { slope * 60.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(at_ms: u64, lag_ms: u64) -> Delivery {
        Delivery { at: Duration::from_millis(at_ms), lag: Duration::from_millis(lag_ms) }
    }

    #[test]
    fn a_lag_that_grows_is_seen_to_grow() {
        let steady: Vec<Delivery> = (0..10_000).map(|at| delivery(at, 3 + at % 2)).collect();
        assert!(growth(&steady).abs() < 0.5);
        let growing: Vec<Delivery> = (0..10_000).map(|at| delivery(at, at / 100)).collect();
        assert!((growth(&growing) - 600.0).abs() < 1.0, "10 ms a second is 600 ms a minute, not {}", growth(&growing));
    }

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (51.0, 100.0, 101.0));
        assert!(quantile(&[], 0.5).is_nan());
    }
}
