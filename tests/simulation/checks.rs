//! Checks: what must hold after every turn, and of a whole run.

use std::collections::{HashMap, HashSet};

use aspine::engine::{Engine, Payload};

use crate::cluster::Cluster;
use crate::linear::{self, Event, NEVER};
use crate::marks::Marks;
use crate::ops::{Op, Outcome};
use crate::workload::Plan;
use crate::world::World;

/// What is remembered from turn to turn.
#[derive(Debug)]
pub struct Checks {
    /// The bound of items in each epoch of the budget, as the first core that got there knows it.
    wholes: HashMap<u32, u64>,
    bytes_max: u64,
    /// By core: items and epoch after its last turn, and the largest budget since.
    last: Vec<(u64, u32, u64)>,
}

impl Checks {
    /// Before the first turn.
    pub fn new(plan: &Plan) -> Checks {
        let items_max = plan.items_max.unwrap_or(u64::MAX);
        Checks {
            wholes: HashMap::new(),
            bytes_max: plan.bytes_max.unwrap_or(u64::MAX),
            last: vec![(0, 0, items_max); plan.cores],
        }
    }

    /// After an event of a core's turn: its budget may go up and down again before the turn ends.
    pub fn after_event(&mut self, engine: &Engine) {
        let (_, _, most) = &mut self.last[usize::from(engine.core().0)];
        *most = engine.shard().budget().items_max.max(*most);
    }

    /// After a turn of a core.
    pub fn after_turn(&mut self, plan: &Plan, cluster: &Cluster, core: usize, marks: &mut Marks) -> Result<(), String> {
        let engine = &cluster.engines[core];
        let (epoch, whole) = engine.budget_epoch();
        if *self.wholes.entry(epoch).or_insert(whole) != whole {
            return Err(format!(
                "core {core} knows {whole} as the bound of epoch {epoch}, not {}",
                self.wholes[&epoch]
            ));
        }
        let (items, budget) = (engine.shard().len(), engine.shard().budget().items_max);
        let (items_before, epoch_before, budget_most) = std::mem::replace(&mut self.last[core], (items, epoch, budget));
        // A shard that holds more than it may got there by its budget shrinking, not by insertions.
        if epoch == epoch_before && items > budget.max(budget_most).max(items_before) {
            return Err(format!("core {core} holds {items} items, may hold {budget}, held {items_before}"));
        }
        let evicted = u64::from(engine.shard().counters().evictions > 0);
        marks.evicted += evicted;
        marks.timed_evicted += evicted * u64::from(plan.timed_only);
        if plan.items_max.is_some() || plan.bytes_max.is_some() {
            self.budgets(cluster)?;
        }
        Ok(())
    }

    /// The parts never add up to more than the whole, gifts on their way included.
    fn budgets(&self, cluster: &Cluster) -> Result<(), String> {
        let epochs: HashSet<u32> = cluster.engines.iter().map(|engine| engine.budget_epoch().0).collect();
        for epoch in epochs {
            let (mut items, mut bytes) = (0u64, 0u64);
            for engine in cluster.engines.iter().filter(|engine| engine.budget_epoch().0 == epoch) {
                items = items.saturating_add(engine.shard().budget().items_max);
                bytes = bytes.saturating_add(engine.shard().budget().bytes_max);
            }
            for batch in cluster.links.iter().flatten().flatten() {
                let Payload::BudgetGift(gift) = &batch.payload else { continue };
                if gift.parts().0 == epoch {
                    items = items.saturating_add(gift.parts().1);
                    bytes = bytes.saturating_add(gift.parts().2);
                }
            }
            let whole = self.wholes.get(&epoch).copied().unwrap_or(u64::MAX);
            if items > whole || bytes > self.bytes_max {
                return Err(format!("epoch {epoch}: {items} items of {whole}, {bytes} bytes of {}", self.bytes_max));
            }
        }
        Ok(())
    }
}

impl World {
    /// Whether some order of all operations explains what the clients saw.
    pub fn check_histories(&self) -> Result<(), String> {
        let mut keys: Vec<Vec<Vec<Event>>> = vec![vec![Vec::new(); self.clients.len()]; self.plan.keys];
        for (number, client) in self.clients.iter().enumerate() {
            for sent in client.sent.iter().filter(|sent| sent.begin != NEVER) {
                let event = |action, outcome| {
                    let (clock, clock_max) = self.readings(sent.begin, sent.end);
                    Event { action, outcome, begin: sent.begin, end: sent.end, clock, clock_max }
                };
                if matches!(sent.op, Op::Flush) {
                    for key in &mut keys {
                        key[number].push(event(None, Outcome::Unknown));
                    }
                }
                for ((key, action), outcome) in sent.op.parts().into_iter().zip(&sent.outcomes) {
                    keys[key][number].push(event(Some(action), *outcome));
                }
            }
        }
        for (key, sessions) in keys.iter().enumerate() {
            linear::check(sessions, self.plan.evicting()).map_err(|error| format!("key {key}: {error}"))?;
        }
        Ok(())
    }

    /// The lowest and highest clock reading in a span of steps, and the highest until its end.
    fn readings(&self, begin: u64, end: u64) -> ((u64, u64), u64) {
        let first = self.clock.partition_point(|(step, _)| *step <= begin) - 1;
        let last = self.clock.partition_point(|(step, _)| *step <= end);
        let span = || self.clock[first..last].iter().map(|(_, reading)| *reading);
        let max = self.clock[..last].iter().map(|(_, reading)| *reading).max();
        ((span().min().unwrap_or(0), span().max().unwrap_or(0)), max.unwrap_or(0))
    }

    /// Whether the three ways to count what is there agree, when nothing else happens.
    pub fn check_audit(&self, auditor: usize) -> Result<(), String> {
        let auditor = &self.clients[auditor];
        let keys: HashSet<&Vec<u8>> = auditor.keys.iter().collect();
        let scanned: HashSet<&Vec<u8>> = auditor.scanned.iter().collect();
        if keys.len() != auditor.keys.len() || scanned.len() != auditor.scanned.len() || keys != scanned {
            return Err(format!("KEYS gave {:?}, SCAN {:?}", auditor.keys, auditor.scanned));
        }
        if auditor.dbsize != i64::try_from(keys.len()).ok() {
            return Err(format!("DBSIZE gave {:?}, KEYS {} keys", auditor.dbsize, keys.len()));
        }
        Ok(())
    }
}
