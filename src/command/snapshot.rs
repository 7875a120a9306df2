//! SAVE, BGSAVE, ASPINE.LOAD: their arguments. The engine of core 0 runs them.

use crate::command::Error;
use crate::persist::Name;
use crate::resp::Args;

/// The command that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// SAVE: answered when the snapshot is complete.
    Save,
    /// BGSAVE: answered when it is begun.
    Bgsave,
    /// ASPINE.LOAD: answered when everything is loaded.
    Load,
}

/// A parsed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The command that was sent.
    pub verb: Verb,
    /// The name of the file; `None` for the default one.
    pub name: Option<Name>,
    /// Whether BGSAVE is put off if it can't begin now.
    pub schedule: bool,
    /// Whether ASPINE.LOAD clears the keyspace first.
    pub replace: bool,
}

impl Order {
    /// `SAVE [name]`, `BGSAVE [SCHEDULE] [name]`, `ASPINE.LOAD [name] [REPLACE | MERGE]`.
    pub fn parse(verb: Verb, args: Args<'_>) -> Result<Order, Error> {
        let mut order = Order { verb, name: None, schedule: false, replace: true };
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let words: Vec<&[u8]> = args.iter().collect();
        let names = match (verb, words.as_slice()) {
            (Verb::Bgsave, [word, rest @ ..]) if is(word, "SCHEDULE") => {
                order.schedule = true;
                rest
            }
            (Verb::Load, [rest @ .., word]) if is(word, "REPLACE") => rest,
            (Verb::Load, [rest @ .., word]) if is(word, "MERGE") => {
                order.replace = false;
                rest
            }
            (_, words) => words,
        };
        match names {
            [] => {}
            [name] => order.name = Some(Name::parse(name).map_err(|_| Error::SnapshotName)?),
            _ => return Err(Error::Syntax),
        }
        Ok(order)
    }
}
