//! Turn: one pass of a core's loop: everything that is ready, then everything that leaves. The runtime, the simulation and
//! the benches all run it, each over its own [`Outside`].
//!
//! ```text
//! batches from peers ─▶ ready sockets ─▶ tick if due ─▶ sliced work ─▶ sends ─▶ batches to peers ─▶ files, log
//! ```
//! Cost: nothing but what is there. Never: waits, takes an unbounded turn.

use std::time::Duration;

use crate::engine::files::FileAsk;
use crate::engine::{Batch, Engine, Notice, SessionId};
use crate::limits::SLICE_US;

/// What surrounds one core's engine. Every method is called by [`turn`] alone, in the order of the turn.
pub trait Outside {
    /// Why a turn can't go on: the core ends.
    type Error;

    /// Time since some moment, by which work is sliced.
    fn elapsed(&self) -> Duration;

    /// The next batch from a peer.
    fn receive(&mut self) -> Option<Batch>;

    /// Looks at the engine after a batch or a slice, for tests that check it between events. Nothing by default.
    #[inline]
    fn after_event(&mut self, _engine: &mut Engine) {}

    /// Feeds what clients sent to the engine, within a bound of its own. Returns whether there was anything.
    fn serve(&mut self, engine: &mut Engine, began: Duration, now_ms: u64) -> Result<bool, Self::Error>;

    /// Feeds what those who read and write files say to the engine. Returns whether there was anything.
    fn hear_files(&mut self, engine: &mut Engine, now_ms: u64) -> bool;

    /// Gives the engine its tick, if one is due.
    fn tick(&mut self, engine: &mut Engine, now_ms: u64) -> Result<(), Self::Error>;

    /// Sends what a session has to say, and closes it when it has said everything.
    fn send(&mut self, engine: &mut Engine, id: SessionId, now_ms: u64) -> Result<(), Self::Error>;

    /// Takes the engine's batches to its peers. Returns whether there were any.
    fn pass_on(&mut self, engine: &mut Engine) -> bool;

    /// Passes a request to the workers that read and write files.
    fn ask_files(&mut self, ask: FileAsk);

    /// Writes to the log.
    fn log(&mut self, notice: Notice);
}

/// Runs one turn. Returns whether there was anything to do; if so, more may be ready.
pub fn turn<O: Outside>(engine: &mut Engine, outside: &mut O, now_ms: u64) -> Result<bool, O::Error> {
    let began = outside.elapsed();
    let mut busy = false;
    while let Some(batch) = outside.receive() {
        engine.on_batch(batch, now_ms);
        outside.after_event(engine);
        busy = true;
    }
    busy |= outside.serve(engine, began, now_ms)?;
    busy |= outside.hear_files(engine, now_ms);
    outside.tick(engine, now_ms)?;
    let mut has_backlog = engine.has_backlog();
    while has_backlog {
        engine.on_slice(now_ms);
        outside.after_event(engine);
        has_backlog = engine.has_backlog();
        busy = true;
        if outside.elapsed() - began >= Duration::from_micros(SLICE_US) {
            break;
        }
    }
    // A chunk of records is done: the next may be here, and its sender waits until there is room.
    busy |= outside.hear_files(engine, now_ms);
    busy |= engine.is_walking();
    busy |= send_all(engine, outside, now_ms)?;
    let turn_ns = if busy { (outside.elapsed() - began).as_nanos() as u64 } else { 0 };
    engine.on_turn_end(turn_ns);
    // What had done enough for this turn has not for the next.
    busy |= engine.has_backlog();
    busy |= outside.pass_on(engine);
    while let Some(ask) = engine.take_file_ask() {
        outside.ask_files(ask);
    }
    while let Some(notice) = engine.take_notice() {
        outside.log(notice);
    }
    Ok(busy)
}

/// Sends replies, and as much of what is pushed to others, and of long replies, as the engine does in one turn. The rest waits
/// for the next: a client that asks is not held up by a message to thousands, and those have several messages with one send
/// by then. True if there was anything.
fn send_all<O: Outside>(engine: &mut Engine, outside: &mut O, now_ms: u64) -> Result<bool, O::Error> {
    let mut busy = false;
    while let Some(id) = engine.take_ready() {
        outside.send(engine, id, now_ms)?;
        busy = true;
    }
    Ok(busy)
}
