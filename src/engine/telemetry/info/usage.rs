//! Usage: what commands took and how they ended, in INFO's Commandstats, Errorstats and Latencystats.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Page;
use crate::engine::telemetry::meter::Usage;

impl Page<'_> {
    fn usage(&self) -> Vec<Usage> {
        Usage::merged(self.reports.iter().flat_map(|core| &core.usage))
    }
}

pub(super) fn commands(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    for row in page.usage() {
        let us = row.ns / 1000;
        let per_call = if row.calls == 0 { 0.0 } else { us as f64 / row.calls as f64 };
        write!(text, "cmdstat_{}:calls={},usec={us},usec_per_call={per_call:.2}", row.name(), row.calls)?;
        writeln!(text, ",rejected_calls={},failed_calls={}", row.rejected, row.failed)?;
    }
    Ok(())
}

pub(super) fn errors(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in page.reports.iter().flat_map(|core| &core.errors) {
        *sums.entry(code).or_default() += count;
    }
    sums.iter().try_for_each(|(code, count)| writeln!(text, "errorstat_{code}:count={count}"))
}

pub(super) fn latencies(page: &Page<'_>, text: &mut String) -> std::fmt::Result {
    for row in page.usage().iter().filter(|row| !row.times.is_empty()) {
        let times = row.histogram();
        let us = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
        write!(text, "latency_percentiles_usec_{}:p50={:.3}", row.name(), us(0.5))?;
        writeln!(text, ",p99={:.3},p99.9={:.3}", us(0.99), us(0.999))?;
    }
    Ok(())
}
