//! Actors: clients of one kind in the one world, and what must hold for them whatever the others do.
//!
//! A kind has its own keys and channels, and its own model of what its clients may hear. The world decides when bytes
//! arrive, when connections break and when time passes, for all kinds alike.

mod messages;
mod near_cache;
mod nodes;
mod pausers;
mod savers;
mod tenants;
mod transfers;
mod watchers;

use aspine::resp::Value;

use crate::canary::Fault;
use crate::cluster::{Cluster, Conn};
use crate::marks::Marks;
use crate::rng::Rng;
use crate::workload::Plan;

pub use messages::{KEY_PREFIX, Messages};
pub use near_cache::NearCaches;
pub use nodes::Nodes;
pub use pausers::Pausers;
pub use savers::Savers;
pub use tenants::Tenants;
pub use transfers::{ACCOUNTS, EACH, Transfers, account};
pub use watchers::Watchers;

/// What a kind may look at and count.
pub struct Scene<'a> {
    pub rng: &'a mut Rng,
    pub marks: &'a mut Marks,
    /// Grows with everything that happens.
    pub step: u64,
    pub cluster: &'a Cluster,
}

/// All clients of one kind. They are numbered as they arrive.
pub trait Actors {
    /// Commands that are run before anybody else says anything.
    fn opening(&self) -> String {
        String::new()
    }

    /// Whether it wants one connection more.
    fn wants_another(&mut self, scene: &mut Scene<'_>) -> bool;

    /// The core that the next connection is to be to, and whether by that core's own port; `None` if neither matters.
    fn door(&self) -> Option<(usize, bool)> {
        None
    }

    /// A connection for the next of these actors has been made.
    fn arrive(&mut self, conn: Conn, scene: &mut Scene<'_>);

    /// What a client says next; nothing, as long as it waits for something.
    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8>;

    /// Some more of what a client says has reached its core.
    fn reached(&mut self, _at: usize, _scene: &mut Scene<'_>) {}

    /// A whole reply, or something that was pushed.
    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String>;

    /// Replies that a client still waits for.
    fn owed(&self, at: usize) -> usize;

    /// A client's connection is gone.
    fn leave(&mut self, at: usize, scene: &mut Scene<'_>);

    /// Everything that was under way has come to its end.
    fn at_rest(&mut self, _scene: &mut Scene<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// The kinds that a plan has.
pub fn all_of(plan: &Plan, seed: u64, fault: Option<Fault>) -> Vec<Box<dyn Actors>> {
    let mut all: Vec<Box<dyn Actors>> = Vec::new();
    if plan.transfers > 0 {
        all.push(Box::new(Transfers::new(plan.transfers, plan.cores)));
    }
    if plan.messages > 0 {
        all.push(Box::new(Messages::new(plan.messages)));
    }
    if plan.near_caches > 0 {
        all.push(Box::new(NearCaches::new(plan.near_caches, plan.small_table)));
    }
    if plan.savers > 0 {
        all.push(Box::new(Savers::new(plan.savers)));
    }
    if plan.tenants {
        all.push(Box::new(Tenants::new()));
    }
    if plan.nodes {
        all.push(Box::new(Nodes::new(plan.cores, seed, fault)));
    }
    if plan.pauses {
        all.push(Box::new(Pausers::default()));
    }
    if plan.watchers > 0 {
        all.push(Box::new(Watchers::new(plan.watchers)));
    }
    all
}

/// Whether a key is of some kind's.
pub fn owns(key: &[u8]) -> bool {
    let known =
        ["account:", "token:", KEY_PREFIX, savers::KEY_PREFIX].iter().any(|prefix| key.starts_with(prefix.as_bytes()));
    known || near_cache::number(key).is_some() || nodes::owns(key)
}
