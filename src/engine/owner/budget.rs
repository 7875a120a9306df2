//! Budget: the process's bounds, split over the cores and moved to where they are needed. Core: each its own share.
//!
//! A core whose next command would have it evict or refuse asks all others first, and runs nothing until each has
//! answered: so what fits the bounds of the process is taken, on whichever core it lives. A core gives what it does not
//! use: what is needed, or half of it if that is more. One that uses more than its fair share gives back towards it, if it
//! can evict; and one that has something to evict does so for one that would refuse. What is given is first taken from the
//! giver and then travels: so the parts never add up to more than the whole, and to less only while a gift is under way.
//!
//! An ask that brought too little shows that the process is full. From then on nothing waits for answers: a core that
//! evicts asks with its ticks, until something is given again; one that refuses waits for answers once a tick.
//! CONFIG SET starts a new epoch, in which every core has its fair share; gifts of an old epoch are void.
//! Blind spots: a transaction runs with the budget that its cores have; so does COPY, whose arguments do not say what it
//! stores.

use crate::command::facts::flag;
use crate::command::growth::stored_bytes;
use crate::command::handler::Command;
use crate::command::lookup::CommandId;
use crate::command::settings::Settings;
use crate::engine::env::Env;
use crate::engine::link::Links;
use crate::engine::link::message::{Gift, Holding, Payload};
use crate::engine::owner::Owner;
use crate::limits::SLICE_STEPS;
use crate::resp::Args;
use crate::shard::{Budget, Database, Room, Shard};
use crate::slot::CoreId;

/// One core's view of the exchange.
#[derive(Debug)]
pub(in crate::engine) struct Exchange {
    epoch: u32,
    share: Budget,
    /// Whether there are other cores, and a bound.
    is_shared: bool,
    /// Answers for which commands wait.
    awaited: u16,
    /// Whether the last answers brought too little for the command that had asked.
    is_dry: bool,
    core: CoreId,
    /// Whether a command has asked and not run since: it is not held up again, so that every ask gets a command on.
    has_asked: bool,
}

impl Exchange {
    pub(in crate::engine) fn new(settings: &Settings, core: CoreId, cores: u16) -> Exchange {
        let share = fair_share(settings, core, cores);
        let is_shared = cores > 1 && share != Budget::UNLIMITED;
        Exchange { epoch: 0, share, is_shared, awaited: 0, is_dry: false, core, has_asked: false }
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

    /// Whether commands wait for the answers of the peers.
    #[inline]
    pub(in crate::engine) fn is_asking(&self) -> bool {
        self.awaited > 0
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

/// What a core gives that may hold `max`, can spare `spare` of that, and should have `share`, to one that may hold
/// `asker_max` and lacks `lack`. What it cannot spare it gives only if it evicts, and has more than its share.
fn gift(max: u64, spare: u64, share: u64, (asker_max, lack): (u64, u64), evicts: bool) -> u64 {
    if max == u64::MAX || lack == 0 {
        return 0;
    }
    let unfair = if evicts { max.saturating_sub(share).min(share.saturating_sub(asker_max)) / 2 } else { 0 };
    spare.min(lack.max(spare / 2)).max(unfair)
}

impl Exchange {
    /// A tick has come: asks the peers for budget if this core had to evict or refuse, which nothing waits for.
    pub(super) fn tick(&mut self, shard: &mut Shard, env: &Env, links: &mut Links) {
        if !self.is_asking() {
            self.has_asked = false;
        }
        if !shard.may_evict() {
            self.is_dry = false;
        }
        if !self.is_shared || !shard.take_pressure() || self.is_asking() {
            return;
        }
        self.ask(shard, Room { items: 1, bytes: 1 }, false, env, links);
    }

    fn ask(&mut self, shard: &Shard, lacks: Room, waits: bool, env: &Env, links: &mut Links) {
        let refuses = !shard.may_evict();
        let holding = Holding { epoch: self.epoch, budget: shard.budget(), lacks, waits, refuses };
        for peer in env.router.peers() {
            links.send(peer, Payload::BudgetAsk(holding));
            self.awaited += u16::from(waits);
        }
    }

    /// Another core asks: what can be spared is given, and nothing is an answer too. True if something was.
    pub(super) fn on_ask(
        &self,
        from: CoreId,
        asker: Holding,
        shard: &mut Shard,
        (env, links): (&Env, &mut Links),
    ) -> bool {
        let (mut budget, share) = (shard.budget(), self.share);
        let evicts = shard.may_evict();
        let (mut items, mut bytes) = (0, 0);
        if asker.epoch == self.epoch {
            let (theirs, lacks) = (asker.budget, asker.lacks);
            // Two cores that ask each other would hand one place to and fro: the first of them in their order gets it.
            let spares = !self.has_asked || from < self.core;
            let spare = |shard: &Shard| Room {
                items: budget.items_max.saturating_sub(shard.len()),
                bytes: budget.bytes_max.saturating_sub(shard.bytes()),
            };
            let now = if spares { spare(shard) } else { Room::default() };
            items = gift(budget.items_max, now.items, share.items_max, (theirs.items_max, lacks.items), evicts);
            bytes = gift(budget.bytes_max, now.bytes, share.bytes_max, (theirs.bytes_max, lacks.bytes), evicts);
            if evicts && env.settings.eviction.is_volatile() {
                // What must stay never pays a debt: so what is given is evicted first.
                if spares && asker.refuses && asker.waits {
                    (items, bytes) = (items.max(lacks.items), bytes.max(lacks.bytes));
                }
                shard.evict_to_spare(Room { items, bytes }, env.now_ms, SLICE_STEPS);
                (items, bytes) = (items.min(spare(shard).items), bytes.min(spare(shard).bytes));
            }
            budget.items_max -= items;
            budget.bytes_max -= bytes;
        }
        let gives = items > 0 || bytes > 0;
        if gives {
            shard.set_budget(budget);
        }
        if gives || asker.waits {
            links.send(from, Payload::BudgetGift(Gift { epoch: asker.epoch, items, bytes, awaited: asker.waits }));
        }
        gives
    }

    /// Another core has answered.
    pub(super) fn on_gift(&mut self, gift: Gift, shard: &mut Shard) {
        // A gift answers an ask of this core, so it is of this epoch or of one that has passed.
        if gift.epoch == self.epoch && (gift.items > 0 || gift.bytes > 0) {
            let mut budget = shard.budget();
            budget.items_max = budget.items_max.saturating_add(gift.items);
            budget.bytes_max = budget.bytes_max.saturating_add(gift.bytes);
            shard.set_budget(budget);
            self.is_dry = false;
        }
        if gift.awaited {
            assert!(self.awaited > 0, "an answer that nothing waits for");
            self.awaited -= 1;
        }
    }

    /// The settings changed: a new epoch, in which each core has its fair share.
    pub(super) fn configure(&mut self, shard: &mut Shard, env: &Env) {
        self.epoch = self.epoch.wrapping_add(1);
        self.share = fair_share(&env.settings, env.router.core(), env.router.cores());
        self.is_shared = env.router.cores() > 1 && self.share != Budget::UNLIMITED;
        self.is_dry = false;
        shard.set_budget(self.share);
    }
}

impl Owner {
    /// Whether there is budget that a peer may have to spare: a bound, and more than one core.
    #[inline]
    pub(in crate::engine) fn shares_budget(&self) -> bool {
        self.exchange.is_shared
    }

    /// Asks the peers for budget if a command would have to evict or be refused and they may have some to spare. True if
    /// the command has to wait for their answers.
    #[inline]
    pub(in crate::engine) fn asks_for_room(
        &mut self,
        env: &Env,
        links: &mut Links,
        (command, database): (CommandId, Database),
        args: Args<'_>,
    ) -> bool {
        // What most servers and most commands are told apart by comes first.
        self.shares_budget()
            && command.row().is(flag::DENYOOM)
            && (!self.exchange.is_dry || self.exchange.has_asked)
            && self.ask_for_room(env, links, (command.row(), database), args)
    }

    #[inline(never)]
    fn ask_for_room(
        &mut self,
        env: &Env,
        links: &mut Links,
        (row, database): (&Command, Database),
        args: Args<'_>,
    ) -> bool {
        if std::mem::take(&mut self.exchange.has_asked) {
            return false;
        }
        let keys = row.keys_after_name(args).filter(|key| env.router.is_here(key));
        let bytes = stored_bytes(row, args);
        let whole = Budget { items_max: env.settings.items_max, bytes_max: env.settings.bytes_max };
        self.shard.select(database);
        let lacks = self.shard.lacks(keys, bytes, &whole);
        self.shard.select(0);
        let Some(lacks) = lacks else { return false };
        // Until the answers show otherwise, there is nothing to be had.
        (self.exchange.is_dry, self.exchange.has_asked) = (true, true);
        self.exchange.ask(&self.shard, lacks, true, env, links);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_is_given_and_what_is_used_goes_back_to_its_fair_share() {
        assert_eq!(gift(1000, 1000, 1000, (1000, 1), true), 500, "half of what is free");
        assert_eq!(gift(1000, 1000, 1000, (1000, 800), true), 800, "or what is lacking");
        assert_eq!(gift(1000, 1000, 1000, (1000, 5000), true), 1000, "all of it, if need be");
        assert_eq!(gift(1000, 1, 1000, (1000, 1), false), 1);
        assert_eq!(gift(1000, 1000, 1000, (1000, 0), true), 0, "nothing is lacking");
        assert_eq!(gift(1000, 0, 1000, (1000, 1), true), 0, "nothing free, nothing unfair");
        assert_eq!(gift(1500, 0, 1000, (500, 1), true), 250, "back towards the fair share");
        assert_eq!(gift(1500, 0, 1000, (500, 1), false), 0, "what is used stays where nothing is evicted");
        assert_eq!(gift(u64::MAX, 0, u64::MAX, (5, 1), true), 0, "no bound, nothing to move");
    }
}
