//! Weather: what happens around the server and its clients: time, and what goes wrong.

use aspine::limits::TICK_MS;

use super::{CLIENTS_MAX, World};

impl World {
    /// Moves the clock: often not at all, seldom to the next deadline, far, or back.
    pub(super) fn pass_time(&mut self) {
        if self.frozen {
            return;
        }
        let rng = &mut self.schedule;
        let now_ms = self.cluster.now_ms;
        let next_ms = match rng.below(40) {
            0..20 => now_ms,
            20..35 => now_ms + rng.between(0, 4),
            _ if self.calm => now_ms + TICK_MS,
            // So that what waits for the link waits too long.
            35..39 if self.turns < self.still_link.2 => now_ms + rng.between(50, 250),
            36 => {
                let deadlines = self.cluster.engines.iter().filter_map(|engine| engine.shard().next_deadline_ms());
                let far_ms = if self.plan.stalls { 100_000 } else { 500 };
                deadlines.min().unwrap_or(now_ms).clamp(now_ms, now_ms + far_ms)
            }
            37 if rng.one_in(if self.plan.clock_back { 4 } else { 40 }) => {
                self.marks.clock_back += 1;
                now_ms - rng.between(1, 200)
            }
            38 if self.plan.stalls && rng.one_in(8) => {
                // A minute that the server is at work, and one that only the clock has made.
                self.cluster.pass(61_000 * u64::from(rng.one_in(2)));
                now_ms + 61_000
            }
            // As behind SIGSTOP.
            39 if rng.one_in(8) => now_ms + 1_000,
            _ => now_ms + rng.between(5, 60),
        };
        if next_ms != now_ms {
            self.step += 1;
            self.set_clock(next_ms);
        }
    }

    fn set_clock(&mut self, now_ms: u64) {
        self.cluster.now_ms = now_ms;
        self.clock.push((self.step, now_ms));
        if let Some(files) = &mut self.files {
            files.on_clock(now_ms);
        }
    }

    /// A link or a core stands still for a while.
    pub(super) fn stand_still(&mut self) {
        if self.plan.cores == 1 || !self.faults.one_in(150) {
            return;
        }
        let core = self.faults.below(self.plan.cores);
        if self.faults.one_in(2) {
            let to = (core + 1 + self.faults.below(self.plan.cores - 1)) % self.plan.cores;
            self.still_link = (core, to, self.turns + self.faults.between(20, 60));
            self.marks.link_stood += 1;
        } else {
            self.still_core = (core, self.turns + self.faults.between(5, 40));
            self.marks.core_stood += 1;
        }
    }

    /// Clients leave, stop to read, say that they are through; others come.
    pub(super) fn go_wrong(&mut self) {
        if self.faults.one_in(200) {
            self.break_disk();
        }
        if self.plan.faults == 0 || !self.faults.one_in(self.plan.faults) {
            return;
        }
        let at = self.faults.below(self.clients.len());
        let client = &mut self.clients[at];
        if client.gone {
            if client.actor.is_none() && self.clients.len() < CLIENTS_MAX / 2 {
                self.connect();
            }
            return;
        }
        match self.faults.below(5) {
            0 => client.leaves = true,
            1 => {
                client.eof = true;
                client.ended = true;
            }
            _ => client.stalled_until = self.step + self.faults.between(50, 3_000),
        }
    }

    /// Time stands still from here on. What has expired goes by itself: also where the clock was set back, when it is
    /// again where it was.
    pub fn freeze(&mut self) {
        self.frozen = true;
        let latest_ms = self.clock.iter().map(|(_, reading)| *reading).max().unwrap_or(0);
        self.step += 1;
        self.set_clock(latest_ms);
        self.cluster.tick(0);
    }
}
