//! Budget: the process's bounds, split over the cores and moved to where eviction happens. Core: each its own share.
//!
//! A core that had to evict or refuse since the last tick asks all others. One that has room gives half of it; one
//! that is full but holds more than its fair share gives back towards it. What is given is first taken from the giver
//! and then travels: so the parts never add up to more than the whole, and to less only while a gift is under way.
//! CONFIG SET starts a new epoch, in which every core has its fair share; asks of another epoch are not heard, and gifts
//! of an old one are void.

use crate::command::settings::Settings;
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::message::{Gift, Holding, Payload};
use crate::shard::{Budget, Eviction, Shard};
use crate::slot::CoreId;

/// One core's view of the exchange.
#[derive(Debug)]
pub(in crate::engine) struct Exchange {
    epoch: u32,
    share: Budget,
}

impl Exchange {
    pub(in crate::engine) fn new(settings: &Settings, core: CoreId, cores: u16) -> Exchange {
        let share = fair_share(settings, core, cores);
        Exchange { epoch: 0, share }
    }

    /// The number of times that the bounds have changed.
    #[cfg(any(test, feature = "verify"))]
    pub(in crate::engine) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// This core's part of the whole, before any gift.
    pub(in crate::engine) fn share(&self) -> Budget {
        self.share
    }
}

/// An equal part, the first cores one more where it does not divide.
fn fair_share(settings: &Settings, core: CoreId, cores: u16) -> Budget {
    let part = |whole: u64| match whole {
        u64::MAX => u64::MAX,
        whole => whole / u64::from(cores) + u64::from(u64::from(core.0) < whole % u64::from(cores)),
    };
    Budget { items_max: part(settings.items_max), bytes_max: part(settings.bytes_max) }
}

/// What a core that may hold `max`, holds `used`, and should have `share`, gives to one that may hold `asker_max`.
/// Never below a quarter of its share, so that no shard is starved; and what is used only where it can be `evicted`.
fn gift(max: u64, used: u64, share: u64, asker_max: u64, evicts: bool) -> u64 {
    if max == u64::MAX {
        return 0;
    }
    let spare = max.saturating_sub(used) / 2;
    let unfair = if evicts { max.saturating_sub(share).min(share.saturating_sub(asker_max)) / 2 } else { 0 };
    let floor = (share / 4).max(1);
    spare.max(unfair).min(max.saturating_sub(floor))
}

impl Exchange {
    /// Asks the peers for budget if this core had to evict or refuse.
    pub(super) fn ask(&self, shard: &mut Shard, env: &Env, links: &mut Links) {
        if env.router.cores() == 1 || !shard.take_pressure() {
            return;
        }
        let holding = Holding { epoch: self.epoch, budget: shard.budget() };
        for peer in env.router.peers() {
            links.send(peer, Payload::BudgetAsk(holding));
        }
    }

    /// Another core asks: what can be spared is given. True if something was.
    pub(super) fn on_ask(&self, from: CoreId, asker: Holding, shard: &mut Shard, links: &mut Links) -> bool {
        if asker.epoch != self.epoch {
            return false;
        }
        let (mut budget, share) = (shard.budget(), self.share);
        let evicts = shard.eviction() != Eviction::None;
        let items = gift(budget.items_max, shard.len(), share.items_max, asker.budget.items_max, evicts);
        let bytes = gift(budget.bytes_max, shard.bytes(), share.bytes_max, asker.budget.bytes_max, evicts);
        if items == 0 && bytes == 0 {
            return false;
        }
        budget.items_max -= items;
        budget.bytes_max -= bytes;
        shard.set_budget(budget);
        links.send(from, Payload::BudgetGift(Gift { epoch: asker.epoch, items, bytes }));
        true
    }

    /// Another core gives.
    pub(super) fn on_gift(&self, gift: Gift, shard: &mut Shard) {
        // A gift answers our own ask, so it is of this epoch or of one that has passed.
        if gift.epoch == self.epoch {
            let mut budget = shard.budget();
            budget.items_max = budget.items_max.saturating_add(gift.items);
            budget.bytes_max = budget.bytes_max.saturating_add(gift.bytes);
            shard.set_budget(budget);
        }
    }

    /// The settings changed: a new epoch, in which each core has its fair share.
    pub(super) fn configure(&mut self, shard: &mut Shard, env: &Env) {
        self.epoch = self.epoch.wrapping_add(1);
        self.share = fair_share(&env.settings, env.router.core(), env.router.cores());
        shard.set_budget(self.share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gifts_leave_the_giver_a_quarter_of_its_share() {
        assert_eq!(gift(1000, 0, 1000, 1000, true), 500, "half of what is free");
        assert_eq!(gift(1000, 1000, 1000, 1000, true), 0, "nothing free, nothing unfair");
        assert_eq!(gift(1500, 1500, 1000, 500, true), 250, "back towards the fair share");
        assert_eq!(gift(1500, 1500, 1000, 500, false), 0, "what is used stays where nothing is evicted");
        assert_eq!(gift(260, 0, 1000, 1000, true), 10);
        assert_eq!(gift(250, 0, 1000, 1000, true), 0);
        assert_eq!(gift(1, 0, 1, 1, true), 0, "the last item's room stays");
        assert_eq!(gift(u64::MAX, 0, u64::MAX, 5, true), 0, "no bound, nothing to move");
    }
}
