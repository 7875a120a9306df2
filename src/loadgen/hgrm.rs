//! Percentiles as a file that HdrHistogram's tools read and plot: a line for each of many percentiles, in milliseconds.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::limits::BENCH_HGRM_TICKS;

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// A share of all operations, 0 to 1.
    pub quantile: f64,
    /// The latency, in milliseconds, that this share of operations stays within.
    pub ms: f64,
}

/// The file of a histogram of nanoseconds.
pub(crate) fn write(histogram: &Histogram<u64>) -> String {
    let mut out = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let ms = |ns: f64| ns / 1e6;
    let mut total = 0;
    // Writing to a String does not fail.
    for step in histogram.iter_quantiles(BENCH_HGRM_TICKS) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
        let _ = write!(out, "{value:>12.6} {quantile:>2.12} {total:>10}");
        // The last percentile is 100 %, of which 1/(1-p) is infinite.
        let _ = if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(out) };
    }
    let (mean, deviation, max) = (ms(histogram.mean()), ms(histogram.stdev()), ms(histogram.max() as f64));
    let _ = writeln!(out, "#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]");
    let _ = writeln!(out, "#[Max     = {max:>12.6}, Total count    = {:>12}]", histogram.len());
    let _ = writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), 2048);
    out
}

/// Parses such a file, ours or that of another program. The error is one line.
pub(crate) fn parse(text: &str) -> Result<Vec<Point>, String> {
    let mut points: Vec<Point> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("Value") {
            continue;
        }
        let mut words = line.split_ascii_whitespace().map(str::parse::<f64>);
        let (Some(Ok(ms)), Some(Ok(quantile))) = (words.next(), words.next()) else {
            return Err(format!("line {number} has no value and percentile: {line:?}"));
        };
        if !(0.0..=1.0).contains(&quantile) || !ms.is_finite() || ms < 0.0 {
            return Err(format!("line {number} has a percentile beyond 0 to 1 or a value that is no time: {line:?}"));
        }
        points.push(Point { quantile, ms });
    }
    if points.is_empty() {
        return Err("no percentiles in it; give a file that --hgrm wrote".to_owned());
    }
    Ok(points)
}

/// The points of a histogram of nanoseconds.
pub(crate) fn points(histogram: &Histogram<u64>) -> Vec<Point> {
    let steps = histogram.iter_quantiles(BENCH_HGRM_TICKS);
    steps
        .map(|step| Point { quantile: step.quantile_iterated_to(), ms: step.value_iterated_to() as f64 / 1e6 })
        .collect()
}
