//! Gather: the counters of all cores, requested by their doorbells and answered through a channel, over a few turns each.
//!
//! Never: holds up a core, which reports a few commands a turn. A core that does not answer in time is left out.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::metrics::CoreMetrics;
use crate::limits::ADMIN_GATHER_MS_MAX;
use crate::runtime::clock::Clock;
use crate::runtime::shared::Shared;
use crate::slot::CoreId;

/// The core's side, which answers when the core's doorbell rings.
pub(in crate::runtime) struct Reporter {
    core: CoreId,
    asks: Receiver<()>,
    answers: Sender<(CoreId, CoreMetrics)>,
    /// The unfinished answer.
    begun: Option<CoreMetrics>,
}

impl Reporter {
    /// Begins or continues an answer, if one was requested. True if it continues in the next turn, for which the doorbell
    /// has to ring.
    pub(in crate::runtime) fn answer(&mut self, engine: &Engine) -> bool {
        if self.begun.is_none() && self.asks.try_recv().is_ok() {
            self.begun = Some(engine.begin_metrics());
        }
        let Some(mut metrics) = self.begun.take() else { return false };
        if engine.add_metrics(&mut metrics) {
            self.begun = Some(metrics);
            return true;
        }
        // The admin thread lives as long as the process.
        let _ = self.answers.send((self.core, metrics));
        false
    }
}

/// The admin thread's side, which asks the cores.
pub(super) struct Gatherer {
    shared: Arc<Shared>,
    asks: Vec<Sender<()>>,
    /// The cores that owe an answer; they are not asked again before they have answered.
    owed: Vec<bool>,
    answers: Receiver<(CoreId, CoreMetrics)>,
}

impl Gatherer {
    /// Creates both sides.
    pub(super) fn new(cores: usize, shared: &Arc<Shared>) -> (Gatherer, Vec<Reporter>) {
        let (to_us, answers) = channel();
        let (mut asks, mut reporters) = (Vec::new(), Vec::new());
        for core in 0..cores {
            let (ask, asked) = channel();
            asks.push(ask);
            reporters.push(Reporter { core: CoreId(core as u16), asks: asked, answers: to_us.clone(), begun: None });
        }
        (Gatherer { shared: Arc::clone(shared), asks, owed: vec![false; cores], answers }, reporters)
    }

    /// The counters of each core; `None` for cores that are too busy to answer.
    pub(super) fn gather(&mut self, clock: &Clock) -> Vec<Option<CoreMetrics>> {
        let mut metrics: Vec<Option<CoreMetrics>> = self.asks.iter().map(|_| None).collect();
        // Answers that came too late for the last page are too old for this one.
        while let Ok((core, _)) = self.answers.try_recv() {
            self.owed[usize::from(core.0)] = false;
        }
        for (core, ask) in self.asks.iter().enumerate() {
            // A core that has ended does not answer.
            if !self.owed[core] && ask.send(()).is_ok() {
                self.owed[core] = true;
                self.shared.doorbells.ring(CoreId(core as u16));
            }
        }
        let until = clock.elapsed() + Duration::from_millis(ADMIN_GATHER_MS_MAX);
        while self.owed.contains(&true)
            && let Ok((core, answer)) = self.answers.recv_timeout(until.saturating_sub(clock.elapsed()))
        {
            let core = usize::from(core.0);
            self.owed[core] = false;
            metrics[core] = Some(answer);
        }
        metrics
    }
}
