//! Linear: whether there is an order of all operations on one key that explains every outcome.
//!
//! Wing and Gong's search with memory: a state is how far each session has got and what the key holds. An operation
//! may come next if no other that still waits was answered before it began. Operations of one session on one key keep
//! their order. Time is known to an interval: where a deadline may or may not have passed, both are tried.

use ahash::AHashSet;

use crate::ops::{Action, Deadline, Outcome, ValueId, When};

/// Never.
pub const NEVER: u64 = u64::MAX;

/// One operation on one key. `None` as the action: FLUSHALL.
#[derive(Clone, Debug)]
pub struct Event {
    pub action: Option<Action>,
    pub outcome: Outcome,
    /// Step at which the server had all of it.
    pub begin: u64,
    /// Step at which the client had the reply; `NEVER` if it had none, and then it may never have run.
    pub end: u64,
    /// The lowest and the highest clock reading between them.
    pub clock: (u64, u64),
    /// The highest clock reading until `end`.
    pub clock_max: u64,
}

impl Event {
    fn only_reads(&self) -> bool {
        matches!(self.action, Some(Action::Get | Action::Exists | Action::Touch | Action::Pttl))
    }
}

/// What the key holds: a value, and between which two readings its deadline lies.
type State = Option<(ValueId, Option<(u64, u64)>)>;

/// States that are searched at most for one key. Past it the run proves nothing, and fails.
const STATES_MAX: usize = 3_000_000;

/// Checks the operations on one key, by session in their order. `evicting`: items may vanish at any time.
pub fn check(sessions: &[Vec<Event>], evicting: bool) -> Result<(), String> {
    // The step before which each operation must have run: its own reply, or that of a later one of its session.
    let due: Vec<Vec<u64>> = sessions
        .iter()
        .map(|events| {
            let mut due: Vec<u64> = events.iter().map(|event| event.end).collect();
            for at in (1..due.len()).rev() {
                due[at - 1] = due[at - 1].min(due[at]);
            }
            due
        })
        .collect();
    let mut seen = AHashSet::new();
    let mut stack = vec![(vec![0usize; sessions.len()], None)];
    let mut furthest = (0, Vec::new());
    while let Some((places, state)) = stack.pop() {
        let fronts = || places.iter().enumerate().filter(|(session, place)| **place < sessions[*session].len());
        let first_due = fronts().map(|(session, place)| due[session][*place]).min().unwrap_or(NEVER);
        if first_due == NEVER {
            return Ok(());
        }
        let done = places.iter().sum::<usize>();
        if done >= furthest.0 {
            furthest = (done, places.clone());
        }
        let may_run = |(session, place): (usize, &usize)| sessions[session][*place].begin <= first_due;
        let lasts = !evicting && !matches!(state, Some((_, Some(_))));
        // A read that agrees and that nothing but a write could change may as well come now.
        let read = fronts().find(|(session, place)| {
            let event = &sessions[*session][**place];
            lasts && may_run((*session, place)) && event.only_reads() && !apply(state, event, evicting).is_empty()
        });
        let choices: Vec<_> = match read {
            Some(read) => vec![read],
            None => fronts().filter(|front| may_run(*front)).collect(),
        };
        for (session, place) in choices {
            let event = &sessions[session][*place];
            let mut next = places.clone();
            next[session] += 1;
            for after in apply(state, event, evicting) {
                if seen.insert((next.clone(), after)) {
                    stack.push((next.clone(), after));
                }
            }
        }
        if seen.len() > STATES_MAX {
            return Err("too many states to search".to_owned());
        }
    }
    let stuck: Vec<String> = (furthest.1.iter().enumerate())
        .filter_map(|(session, place)| {
            let events = &sessions[session][place.saturating_sub(3)..];
            (!events.is_empty())
                .then(|| format!("  session {session} from {place}: {:#?}", &events[..events.len().min(5)]))
        })
        .collect();
    Err(format!("no order explains the outcomes; the best search got here:\n{}", stuck.join("\n")))
}

/// The states after an operation that agree with its outcome.
fn apply(state: State, event: &Event, evicting: bool) -> Vec<State> {
    let (may_live, may_be_gone) = match state {
        None => (false, true),
        Some((_, None)) => (true, evicting),
        Some((_, Some((low, high)))) => (high > event.clock.0, evicting || low <= event.clock_max),
    };
    let mut after = Vec::new();
    if may_live {
        run(state, event, &mut after);
    }
    if may_be_gone {
        run(None, event, &mut after);
    }
    after
}

fn run(state: State, event: &Event, after: &mut Vec<State>) {
    let (low, high) = event.clock;
    let interval = |deadline: Deadline| match deadline {
        Deadline::Never => None,
        Deadline::Keep => state.and_then(|(_, interval)| interval),
        Deadline::After(ms) => Some((low + ms, high + ms)),
        Deadline::At(at_ms) => Some((at_ms, at_ms)),
    };
    let agrees = |outcome: Outcome| event.outcome == outcome || event.outcome == Outcome::Unknown;
    let value = state.map_or(Outcome::Null, |(value, _)| Outcome::Value(value));
    let present = Outcome::Int(i64::from(state.is_some()));
    // An item with a deadline that may have passed already may be gone for good, whatever the clock does later.
    let mut store = |new: State| {
        after.push(new);
        if matches!(new, Some((_, Some((low, _)))) if low <= event.clock_max) {
            after.push(None);
        }
    };
    match event.action {
        None | Some(Action::Delete) if event.action.is_none() || agrees(present) => store(None),
        Some(Action::Get) if agrees(value) => store(state),
        Some(Action::GetDel) if agrees(value) => store(None),
        Some(Action::Exists | Action::Touch) if agrees(present) => store(state),
        Some(Action::Set { .. }) if event.outcome == Outcome::Refused => store(state),
        Some(Action::Set { value: new, when, get, deadline }) => {
            let stores = match when {
                When::Always => true,
                When::Absent => state.is_none(),
                When::Present => state.is_some(),
            };
            let said = match (get, stores) {
                (true, _) => value,
                (false, true) => Outcome::Ok,
                (false, false) => Outcome::Null,
            };
            if agrees(said) {
                store(if stores { Some((new, interval(deadline))) } else { state });
            }
            if event.outcome == Outcome::Unknown {
                // It may have been refused for want of room.
                store(state);
            }
        }
        Some(Action::Expire(deadline)) if agrees(present) => {
            store(state.map(|(value, _)| (value, interval(deadline))));
        }
        Some(Action::Persist) => {
            let timed = matches!(state, Some((_, Some(_))));
            if agrees(Outcome::Int(i64::from(timed))) {
                store(state.map(|(value, _)| (value, None)));
            }
        }
        Some(Action::Pttl) => {
            let fits = match (state, event.outcome) {
                (_, Outcome::Unknown) => true,
                (None, said) => said == Outcome::Int(-2),
                (Some((_, None)), said) => said == Outcome::Int(-1),
                (Some((_, Some((from, to)))), Outcome::Int(left)) => {
                    left >= 0
                        && left + high.cast_signed() >= from.cast_signed()
                        && left + low.cast_signed() <= to.cast_signed()
                }
                _ => false,
            };
            if fits {
                store(state);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: Action, outcome: Outcome, begin: u64, end: u64) -> Event {
        Event { action: Some(action), outcome, begin, end, clock: (begin, end), clock_max: end }
    }

    fn set(value: ValueId, deadline: Deadline) -> Action {
        Action::Set { value, when: When::Always, get: false, deadline }
    }

    #[test]
    fn a_stale_read_is_found_and_a_concurrent_one_is_not() {
        let writes =
            vec![event(set(1, Deadline::Never), Outcome::Ok, 1, 2), event(set(2, Deadline::Never), Outcome::Ok, 3, 6)];
        let read = |value, begin, end| vec![event(Action::Get, Outcome::Value(value), begin, end)];
        assert!(check(&[writes.clone(), read(1, 4, 5)], false).is_ok());
        assert!(check(&[writes.clone(), read(2, 4, 5)], false).is_ok());
        assert!(check(&[writes.clone(), read(1, 7, 8)], false).is_err(), "stale");
        assert!(check(&[writes.clone(), read(3, 7, 8)], false).is_err(), "never written");
        let both = [read(2, 4, 5), read(1, 4, 5)].concat();
        assert!(check(&[writes, both], false).is_err(), "a session goes back in time");
    }

    #[test]
    fn an_expired_value_is_not_returned_and_a_live_one_not_lost() {
        let writes = vec![event(set(1, Deadline::After(10)), Outcome::Ok, 1, 2)];
        let read = |outcome, begin, end| vec![event(Action::Get, outcome, begin, end)];
        assert!(check(&[writes.clone(), read(Outcome::Value(1), 5, 6)], false).is_ok());
        assert!(check(&[writes.clone(), read(Outcome::Null, 5, 6)], false).is_err());
        assert!(check(&[writes.clone(), read(Outcome::Null, 5, 6)], true).is_ok(), "evicted");
        assert!(check(&[writes.clone(), read(Outcome::Value(1), 11, 30)], false).is_ok());
        assert!(check(&[writes.clone(), read(Outcome::Null, 11, 30)], false).is_ok());
        assert!(check(&[writes, read(Outcome::Value(1), 12, 30)], false).is_err());
    }
}
