//! Spin beside a model of a core, its clients and its neighbours, by a clock of the test's own.

use proptest::prelude::*;

use super::*;

const US: Duration = Duration::from_micros(1);

/// A source of gaps between requests.
enum Load {
    /// A lone client that asks anew so long after it was answered.
    Lone(Duration),
    /// Clients that ask at a rate, whatever the server does: the mean of the gaps, and a state of chance.
    Open(Duration, u64),
}

/// A core, with what things cost it.
struct Core {
    spin: Spin,
    reading: Reading,
    /// What a command costs, and what a nap with its wake-up costs besides.
    command: Duration,
    nap: Duration,
    /// Somebody else takes the CPU from a core that spins, every so often.
    robbed_every: Option<Duration>,
    last_robbed: Duration,
    /// Requests that were found by spinning, and all.
    found: u64,
    all: u64,
    /// Time spent spinning.
    spun: Duration,
}

impl Core {
    fn new(setting: Setting, command_us: u32, nap_us: u32) -> Core {
        Core {
            spin: Spin::new(setting, true),
            reading: Reading { at: Duration::ZERO, cpu: Duration::ZERO, work: 0 },
            command: command_us * US,
            nap: nap_us * US,
            robbed_every: None,
            last_robbed: Duration::ZERO,
            found: 0,
            all: 0,
            spun: Duration::ZERO,
        }
    }

    /// Serves the load for so long. Returns the CPU time of a command.
    fn run(&mut self, load: &mut Load, time: Duration) -> Duration {
        let began = self.reading;
        // When the next request of an open load comes.
        let mut next = self.reading.at;
        while self.reading.at < began.at + time {
            let gap = match load {
                Load::Lone(gap) => *gap,
                Load::Open(mean, state) => {
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    let chance = ((*state >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                    next += mean.mul_f64(-chance.ln());
                    next.saturating_sub(self.reading.at)
                }
            };
            self.idle(gap);
            self.reading.at += self.command;
            self.reading.cpu += self.command;
            self.reading.work += 1;
            self.all += 1;
            if self.spin.wants_reading(self.reading.at) {
                self.spin.on_reading(self.reading);
            }
        }
        (self.reading.cpu - began.cpu) / u32::try_from(self.reading.work - began.work).unwrap()
    }

    /// Waits for the next request.
    fn idle(&mut self, gap: Duration) {
        if gap == Duration::ZERO {
            return;
        }
        let spun = gap.min(self.spin.limit());
        self.reading.at += gap;
        self.reading.cpu += spun;
        self.spun += spun;
        let mut longest = US;
        if spun > Duration::ZERO && self.robbed_every.is_some_and(|every| self.reading.at - self.last_robbed >= every) {
            longest = Duration::from_millis(3);
            self.last_robbed = self.reading.at;
            self.reading.at += longest;
        }
        if spun > Duration::ZERO {
            self.spin.on_spin(longest);
        }
        if spun < gap {
            self.spin.on_nap();
            self.reading.at += self.nap;
            self.reading.cpu += self.nap;
        } else {
            self.found += 1;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_lone_client_near_by_is_found_by_spinning(command_us in 3_u32..10, gap_us in 5_u32..20, nap_us in 15_u32..30) {
        let mut core = Core::new(Setting::Auto, command_us, nap_us);
        let cost = core.run(&mut Load::Lone(gap_us * US), 2 * SECOND);
        prop_assume!(gap_us <= nap_us);
        prop_assert!(core.found * 100 >= core.all * 90, "{} of {}", core.found, core.all);
        prop_assert!(cost <= (command_us + nap_us) * US * 11 / 10, "{cost:?}");
    }

    #[test]
    fn whatever_the_rate_it_costs_little_more_than_napping(
        command_us in 2_u32..15, nap_us in 5_u32..30, mean_us in 15_u32..2000, seed in 1_u64..,
    ) {
        prop_assume!(mean_us > command_us);
        let cost = |setting| Core::new(setting, command_us, nap_us).run(&mut Load::Open(mean_us * US, seed), 4 * SECOND);
        let (napping, auto) = (cost(Setting::Off), cost(Setting::Auto));
        prop_assert!(auto <= napping * 130 / 100, "{auto:?}, and {napping:?} with naps");
    }

    #[test]
    fn whoever_else_wants_the_cpu_is_soon_left_alone(every_ms in 1_u32..8, gap_us in 5_u32..20) {
        let mut core = Core::new(Setting::Auto, 6, 20);
        core.robbed_every = Some(every_ms * Duration::from_millis(1));
        core.run(&mut Load::Lone(gap_us * US), SECOND);
        let spun = std::mem::take(&mut core.spun);
        prop_assert!(spun <= SECOND / 10, "{spun:?} in the first second");
        core.run(&mut Load::Lone(gap_us * US), 20 * SECOND);
        prop_assert!(core.spun <= SECOND / 5, "{:?} in the next twenty", core.spun);
        // And when he has gone, it spins again.
        core.robbed_every = None;
        core.run(&mut Load::Lone(gap_us * US), 4 * SECOND);
        core.found = 0;
        core.all = 0;
        core.run(&mut Load::Lone(gap_us * US), SECOND);
        prop_assert!(core.found * 100 >= core.all * 90);
    }
}

#[test]
fn a_load_that_changes_is_judged_anew() {
    let mut core = Core::new(Setting::Auto, 6, 20);
    core.run(&mut Load::Lone(12 * US), SECOND);
    assert!(core.spin.limit() > Duration::ZERO || core.found > core.all / 2);
    core.run(&mut Load::Open(60 * US, 7), SECOND);
    core.spun = Duration::ZERO;
    core.run(&mut Load::Open(60 * US, 7), 5 * SECOND);
    assert!(core.spun <= SECOND / 10, "{:?}", core.spun);
}

#[test]
fn a_count_that_is_set_back_ends_a_window_without_a_verdict() {
    let mut core = Core::new(Setting::Auto, 6, 20);
    core.run(&mut Load::Lone(12 * US), SECOND);
    core.reading.work = 0;
    core.run(&mut Load::Lone(12 * US), SECOND);
    (core.found, core.all) = (0, 0);
    core.run(&mut Load::Lone(12 * US), SECOND);
    assert!(core.found * 100 >= core.all * 90, "{} of {}", core.found, core.all);
}

#[test]
fn who_was_told_does_as_he_was_told() {
    for (setting, is_free, limit_us) in [
        (Setting::Off, true, 0),
        (Setting::For(100), true, 100),
        (Setting::For(100), false, 100),
        (Setting::Auto, false, 0),
    ] {
        let mut spin = Spin::new(setting, is_free);
        for window in 1..1000 {
            (0..100).for_each(|_| spin.on_nap());
            assert!(!spin.wants_reading(window * WINDOW));
            assert_eq!(spin.limit(), limit_us * US, "{setting:?}");
        }
    }
}
