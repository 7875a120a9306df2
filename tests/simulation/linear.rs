//! Linear: whether there is an order of all operations on one key that explains every outcome.
//!
//! Wing and Gong's search with memory: a state is how far each session has got and what the key holds. An operation
//! may come next if no other that still waits was answered before it began. Operations of one session on one key keep
//! their order. Time is known to an interval: where a deadline may or may not have passed, both are tried.
//!
//! These rules keep the search small and lose no order that explains anything:
//!
//! - A read that agrees with what the key holds comes at once, since it changes nothing.
//! - A value does not go while a read of it is still to come, since each is written once.
//! - For the same reason a write that may have failed did not, if a read of its value is still to come.
//! - Values of which no read is still to come are the same value: nothing can tell them apart.
//! - The operation that is due first is tried first.
//! - Of two states that differ only in how far sessions have got in their tails, the one that has got less far is enough.
//!   A tail is what a session ends with that has no reply and whose effect does not depend on what the key holds: it may run
//!   later, any number of it at one go, or never.

use ahash::AHashMap;

use crate::ops::{Action, Deadline, Outcome, ValueId, When};

/// The step of what never happens.
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

    /// Whether the key holds the same afterwards, whatever it holds before, or the operation has not run.
    fn is_blind(&self) -> bool {
        match self.action {
            None | Some(Action::Delete | Action::GetDel) => true,
            Some(Action::Set { when, deadline, .. }) => when == When::Always && deadline != Deadline::Keep,
            _ => false,
        }
    }
}

/// What the key holds: a value, and between which two readings its deadline lies.
type State = Option<(ValueId, Option<(u64, u64)>)>;

/// Stands for every value of which no read is still to come.
const UNREAD: ValueId = ValueId::MAX;

/// States that are searched at most for one key. Past it the run proves nothing, and fails.
const STATES_MAX: usize = 3_000_000;

/// Which items may vanish at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicting {
    Nothing,
    /// Items with a deadline.
    Timed,
    Everything,
}

/// Checks the operations on one key, by session in their order.
pub fn check(sessions: &[Vec<Event>], evicting: Evicting) -> Result<(), String> {
    // What was read without a reply says nothing.
    let tells = |event: &&Event| !(event.only_reads() && event.outcome == Outcome::Unknown);
    let sessions: Vec<Vec<Event>> =
        sessions.iter().map(|events| events.iter().filter(tells).cloned().collect()).collect();
    let due: Vec<Vec<u64>> = sessions.iter().map(|events| dues(events)).collect();
    let readers = Readers::of(&sessions);
    let mut seen = Seen::of(&sessions);
    let mut stack: Vec<(Vec<usize>, State)> = vec![(vec![0; sessions.len()], None)];
    let mut furthest = (0, Vec::new());
    while let Some((places, state)) = stack.pop() {
        let due_of = |session: usize| due[session].get(places[session]).copied();
        let first_due = (0..sessions.len()).filter_map(due_of).min().unwrap_or(NEVER);
        if first_due == NEVER {
            return Ok(());
        }
        let done = places.iter().sum::<usize>();
        if done >= furthest.0 {
            furthest = (done, places.clone());
        }
        let front = |session: usize| sessions[session].get(places[session]).filter(|event| event.begin <= first_due);
        let changes_nothing =
            |event: &Event| event.only_reads() && apply(state, event, evicting).first() == Some(&state);
        let mut choices: Vec<usize> = (0..sessions.len()).filter(|session| front(*session).is_some()).collect();
        if let Some(read) = choices.iter().find(|session| front(**session).is_some_and(changes_nothing)) {
            choices = vec![*read];
        }
        // The last is looked at first.
        choices.sort_by_key(|session| std::cmp::Reverse(due_of(*session)));
        let goes = |session: usize| seen.goes(session, places[session], sessions[session].len());
        let goes: Vec<(usize, usize)> = choices.into_iter().flat_map(goes).collect();
        for (session, at) in goes {
            let event = &sessions[session][at];
            if event.begin > first_due {
                continue;
            }
            let mut next = places.clone();
            next[session] = at + 1;
            let written = match event.action {
                Some(Action::Set { value, .. }) => Some(value),
                _ => None,
            };
            let held = state.map(|(value, _)| value);
            let wanted = |value: Option<ValueId>| value.filter(|value| readers.wait_for(*value, &next));
            let (wanted_written, wanted_held) = (wanted(written), wanted(held));
            for after in apply(state, event, evicting) {
                let lacks =
                    |value: Option<ValueId>| value.is_some_and(|value| after.is_none_or(|(then, _)| then != value));
                if lacks(wanted_held) || lacks(wanted_written) {
                    continue;
                }
                let after = after.map(|(value, deadline)| (wanted(Some(value)).unwrap_or(UNREAD), deadline));
                if seen.insert(&next, after) {
                    stack.push((next.clone(), after));
                }
            }
        }
        if seen.len > STATES_MAX {
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

/// The step before which each operation of a session must have run: its own reply, or that of a later one.
fn dues(events: &[Event]) -> Vec<u64> {
    let mut due: Vec<u64> = events.iter().map(|event| event.end).collect();
    for at in (1..due.len()).rev() {
        due[at - 1] = due[at - 1].min(due[at]);
    }
    due
}

/// The states that were seen.
struct Seen {
    /// Where the tail of each session begins.
    tails: Vec<usize>,
    /// By how far the sessions have got before their tails, and by what the key holds: how far they have got in them.
    states: AHashMap<(Vec<usize>, State), Vec<Vec<usize>>>,
    len: usize,
}

impl Seen {
    fn of(sessions: &[Vec<Event>]) -> Seen {
        let in_tail = |event: &&Event| event.end == NEVER && event.is_blind();
        let tail_of = |events: &Vec<Event>| events.len() - events.iter().rev().take_while(in_tail).count();
        Seen { tails: sessions.iter().map(tail_of).collect(), states: AHashMap::new(), len: 0 }
    }

    /// The operations of a session of `len` that may come next: of a tail any, those before it in the same go.
    fn goes(&self, session: usize, from: usize, len: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let end = if from < self.tails[session] { from + 1 } else { len };
        (from..end).map(move |at| (session, at))
    }

    /// Notes a state. False if one that is as good was seen.
    fn insert(&mut self, places: &[usize], state: State) -> bool {
        let places = || places.iter().zip(&self.tails);
        let heads = places().map(|(place, tail)| *place.min(tail)).collect();
        let tails: Vec<usize> = places().map(|(place, tail)| place.saturating_sub(*tail)).collect();
        let seen = self.states.entry((heads, state)).or_default();
        if seen.iter().any(|other| other.iter().zip(&tails).all(|(other, place)| other <= place)) {
            return false;
        }
        seen.push(tails);
        self.len += 1;
        true
    }
}

/// Of each value the last place in each session that saw it.
struct Readers(AHashMap<ValueId, Vec<(usize, usize)>>);

impl Readers {
    fn of(sessions: &[Vec<Event>]) -> Readers {
        let mut readers: AHashMap<ValueId, Vec<(usize, usize)>> = AHashMap::new();
        for (session, events) in sessions.iter().enumerate() {
            for (place, event) in events.iter().enumerate() {
                let Outcome::Value(value) = event.outcome else { continue };
                let places = readers.entry(value).or_default();
                places.retain(|(other, _)| *other != session);
                places.push((session, place));
            }
        }
        Readers(readers)
    }

    /// Whether a read of a value is still to come.
    fn wait_for(&self, value: ValueId, places: &[usize]) -> bool {
        self.0.get(&value).is_some_and(|readers| readers.iter().any(|(session, place)| places[*session] <= *place))
    }
}

/// The states after an operation that agree with its outcome.
fn apply(state: State, event: &Event, evicting: Evicting) -> Vec<State> {
    let (may_live, may_be_gone) = match state {
        None => (false, true),
        Some((_, None)) => (true, evicting == Evicting::Everything),
        Some((_, Some((low, high)))) => (high > event.clock.0, evicting != Evicting::Nothing || low <= event.clock_max),
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
    // Whether its time has passed already, whoever comes next decides: the clock has been as high for that one, too.
    let mut store = |new: State| after.push(new);
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
        assert!(check(&[writes.clone(), read(1, 4, 5)], Evicting::Nothing).is_ok());
        assert!(check(&[writes.clone(), read(2, 4, 5)], Evicting::Nothing).is_ok());
        assert!(check(&[writes.clone(), read(1, 7, 8)], Evicting::Nothing).is_err(), "stale");
        assert!(check(&[writes.clone(), read(3, 7, 8)], Evicting::Nothing).is_err(), "never written");
        let both = [read(2, 4, 5), read(1, 4, 5)].concat();
        assert!(check(&[writes, both], Evicting::Nothing).is_err(), "a session goes back in time");
    }

    #[test]
    fn a_value_that_was_gone_does_not_come_back() {
        let writes = vec![event(set(1, Deadline::Never), Outcome::Ok, 1, 2)];
        let read = |outcome, begin, end| event(Action::Get, outcome, begin, end);
        let (seen, gone) = (Outcome::Value(1), Outcome::Null);
        let back = vec![read(seen, 3, 4), read(gone, 5, 6), read(seen, 7, 8)];
        assert!(check(&[writes.clone(), back], Evicting::Everything).is_err(), "evicted, and read again");
        // Without a deadline it stays where only items with one may go.
        let gone_once = vec![read(seen, 3, 4), read(gone, 5, 6)];
        assert!(check(&[writes.clone(), gone_once.clone()], Evicting::Timed).is_err(), "it had no deadline");
        let timed = vec![event(set(1, Deadline::After(1_000)), Outcome::Ok, 1, 2)];
        assert!(check(&[timed.clone(), gone_once.clone()], Evicting::Timed).is_ok());
        assert!(check(&[timed, gone_once], Evicting::Nothing).is_err(), "its time has not come");
        let together = [vec![read(gone, 3, 8)], vec![read(seen, 3, 8)]].concat();
        assert!(check(&[writes.clone(), together[..1].to_vec(), together[1..].to_vec()], Evicting::Everything).is_ok());
        let unanswered = vec![event(Action::Delete, Outcome::Unknown, 3, NEVER)];
        let late = vec![read(gone, 5, 6), read(seen, 7, 8)];
        assert!(check(&[writes, unanswered, late], Evicting::Nothing).is_err(), "deleted, and read again");
    }

    #[test]
    fn a_deadline_that_passed_before_the_clock_was_set_back_has_passed() {
        let by = |outcome, begin, end, clock, clock_max| Event {
            clock,
            clock_max,
            ..event(Action::Get, outcome, begin, end)
        };
        let write = Event { clock: (10, 10), clock_max: 10, ..event(set(1, Deadline::At(20)), Outcome::Ok, 1, 2) };
        for (outcome, clock_max, right) in
            [(Outcome::Null, 30, true), (Outcome::Null, 15, false), (Outcome::Value(1), 30, true)]
        {
            let read = by(outcome, 5, 6, (12, 12), clock_max);
            assert_eq!(
                check(&[vec![write.clone()], vec![read]], Evicting::Nothing).is_ok(),
                right,
                "{outcome:?} {clock_max}"
            );
        }
    }

    #[test]
    fn an_expired_value_is_not_returned_and_a_live_one_not_lost() {
        let writes = vec![event(set(1, Deadline::After(10)), Outcome::Ok, 1, 2)];
        let read = |outcome, begin, end| vec![event(Action::Get, outcome, begin, end)];
        assert!(check(&[writes.clone(), read(Outcome::Value(1), 5, 6)], Evicting::Nothing).is_ok());
        assert!(check(&[writes.clone(), read(Outcome::Null, 5, 6)], Evicting::Nothing).is_err());
        assert!(check(&[writes.clone(), read(Outcome::Null, 5, 6)], Evicting::Everything).is_ok(), "evicted");
        assert!(check(&[writes.clone(), read(Outcome::Value(1), 11, 30)], Evicting::Nothing).is_ok());
        assert!(check(&[writes.clone(), read(Outcome::Null, 11, 30)], Evicting::Nothing).is_ok());
        assert!(check(&[writes, read(Outcome::Value(1), 12, 30)], Evicting::Nothing).is_err());
    }

    /// Clients each of whom has written several values in one go and not heard whether they were stored.
    fn in_doubt(clients: ValueId, writes: ValueId, end: u64) -> Vec<Vec<Event>> {
        let write = |value| event(set(value, Deadline::Never), Outcome::Unknown, 1, end);
        (0..clients).map(|client| (0..writes).map(|at| write(1 + client * writes + at)).collect()).collect()
    }

    #[test]
    fn what_was_never_answered_may_run_late_in_its_order_or_never() {
        let read = |outcome, begin, end| event(Action::Get, outcome, begin, end);
        let never = |action| event(action, Outcome::Unknown, 1, NEVER);
        let write = |value| never(set(value, Deadline::Never));
        let (one, two, gone) = (Outcome::Value(1), Outcome::Value(2), Outcome::Null);
        let tail = |actions: &[Event]| actions.to_vec();
        for (tail, reads, right) in [
            (tail(&[write(1), write(2)]), [gone, two], true),
            (tail(&[write(1), write(2)]), [one, two], true),
            (tail(&[write(1), write(2)]), [two, one], false),
            (tail(&[write(1), never(Action::Delete), write(2)]), [one, gone], true),
            (tail(&[write(1), never(Action::Delete), write(2)]), [two, gone], false),
            // What it leaves depends on what is there: it can't be put off.
            (tail(&[write(1), never(Action::Expire(Deadline::At(7)))]), [one, gone], true),
            (tail(&[write(1), never(Action::Persist), write(2)]), [one, gone], false),
        ] {
            let history = [tail.clone(), vec![read(reads[0], 5, 6), read(reads[1], 8, 9)]];
            assert_eq!(check(&history, Evicting::Nothing).is_ok(), right, "{tail:?} {reads:?}");
        }
    }

    #[test]
    fn many_tails_do_not_multiply() {
        let mut history: Vec<Vec<Event>> = in_doubt(12, 6, NEVER);
        history.push((0..40).map(|at| event(Action::Get, Outcome::Null, 2 + at, 3 + at)).collect());
        history[12].push(event(Action::Get, Outcome::Value(72), 50, 51));
        assert_eq!(check(&history, Evicting::Nothing), Ok(()));
        history[12].push(event(Action::Get, Outcome::Value(71), 52, 53));
        assert!(
            check(&history, Evicting::Nothing).is_err_and(|why| !why.contains("too many")),
            "the later value was seen before"
        );
    }

    #[test]
    fn a_write_that_may_have_failed_did_not_if_it_was_read() {
        let read = |outcome, begin, end| vec![event(Action::Get, outcome, begin, end)];
        for (outcome, right) in [(1, true), (2, true), (3, false)].map(|(value, right)| (Outcome::Value(value), right))
        {
            let history = [in_doubt(1, 2, 4), vec![read(outcome, 5, 6)]].concat();
            assert_eq!(check(&history, Evicting::Nothing).is_ok(), right, "{outcome:?}");
        }
        let neither = [in_doubt(1, 2, 4), vec![read(Outcome::Null, 5, 6)]].concat();
        assert!(check(&neither, Evicting::Nothing).is_ok(), "both failed");
        let first_last =
            [in_doubt(1, 2, 4), vec![[read(Outcome::Value(2), 5, 6), read(Outcome::Value(1), 7, 8)].concat()]];
        assert!(
            check(&first_last.concat(), Evicting::Nothing).is_err(),
            "the later write was stored, and the earlier one read"
        );
        let gone = [in_doubt(1, 1, 4), vec![[read(Outcome::Value(1), 5, 6), read(Outcome::Null, 7, 8)].concat()]];
        assert!(check(&gone.concat(), Evicting::Nothing).is_err(), "stored, and not there");
    }

    #[test]
    fn values_that_nobody_reads_are_told_apart_from_none_and_from_those_read() {
        let is = |present, begin, end| vec![event(Action::Exists, Outcome::Int(present), begin, end)];
        let pttl = |left, begin, end| vec![event(Action::Pttl, Outcome::Int(left), begin, end)];
        let read = |value, begin, end| vec![event(Action::Get, Outcome::Value(value), begin, end)];
        let writes =
            |first, second| vec![event(set(1, first), Outcome::Ok, 1, 2), event(set(2, second), Outcome::Ok, 3, 4)];
        let never = writes(Deadline::Never, Deadline::Never);
        assert!(check(&[never.clone(), is(1, 5, 6)], Evicting::Nothing).is_ok());
        assert!(check(&[never.clone(), is(0, 5, 6)], Evicting::Nothing).is_err(), "unread, and there");
        assert!(
            check(&[never.clone(), read(1, 5, 6)], Evicting::Nothing).is_err(),
            "a value that nobody reads has replaced it"
        );
        assert!(
            check(&[never, [read(2, 5, 6), is(1, 7, 8)].concat()], Evicting::Nothing).is_ok(),
            "read for the last time"
        );
        let timed = writes(Deadline::Never, Deadline::After(100));
        assert!(check(&[timed.clone(), pttl(98, 5, 6)], Evicting::Nothing).is_ok());
        assert!(
            check(&[timed, pttl(-1, 5, 6)], Evicting::Nothing).is_err(),
            "of two that nobody reads each has its deadline"
        );
    }

    #[test]
    fn many_writes_in_doubt_are_searched_in_time() {
        // Which of them were stored is one question a write; that nothing was there in the end is another.
        let gone = vec![event(Action::Delete, Outcome::Int(1), 6, 7), event(Action::Get, Outcome::Null, 8, 9)];
        let read = vec![event(Action::Get, Outcome::Value(1), 6, 7)];
        let history = [in_doubt(5, 8, 5), vec![gone.clone()]].concat();
        assert!(check(&history, Evicting::Nothing).is_ok());
        let never_written = vec![event(Action::Get, Outcome::Value(99), 10, 11)];
        let history = [in_doubt(5, 8, 5), vec![[gone, never_written].concat()]].concat();
        let error = check(&history, Evicting::Nothing).expect_err("99 was never written");
        assert!(error.starts_with("no order"), "{error}");
        let history =
            [in_doubt(5, 8, 5), vec![[read.clone(), vec![event(Action::Get, Outcome::Null, 8, 9)]].concat()]].concat();
        let error = check(&history, Evicting::Nothing).expect_err("it was there and nobody has removed it");
        assert!(error.starts_with("no order"), "{error}");
    }
}
