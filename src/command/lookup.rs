//! Look-up: rows by number, as batches carry them, and by name, as clients type them.

use crate::command::facts::{flag, same};
use crate::command::handler::{Command, Fold, Handler, KeyHandler, OwnerHandler};
use crate::command::table::TABLE;
use crate::resp::Args;

/// The number of a row in [`TABLE`]; batches carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandId(pub u16);

impl CommandId {
    /// The command CLIENT TRACKING.
    pub const CLIENT_TRACKING: CommandId = CommandId::named("client|tracking");
    /// The command MONITOR.
    pub const MONITOR: CommandId = CommandId::named("monitor");
    /// The command UNWATCH.
    pub const UNWATCH: CommandId = CommandId::named("unwatch");
    /// The command CONFIG SET.
    pub const CONFIG_SET: CommandId = CommandId::named("config|set");

    /// The id of a row that is known by name when this is compiled.
    const fn named(name: &str) -> CommandId {
        let mut at = 0;
        while !same(TABLE[at].facts.name, name) {
            at += 1;
        }
        CommandId(at as u16)
    }

    /// The handler of the command, if it runs at an owner: such commands are what one core has another run.
    #[inline]
    pub fn owner_handler(self) -> Option<OwnerHandler> {
        match self.row().handler {
            Handler::Owner(handler) => Some(handler),
            Handler::EveryCore(_) | Handler::Home(_) | Handler::Container => None,
        }
    }

    /// The row. A number that is no row's is a bug of ours: batches come from this process.
    #[inline]
    pub fn row(self) -> &'static Command {
        &TABLE[usize::from(self.0)]
    }
}

/// A command of each key, and what runs it: what splits it need not ask what it is.
#[derive(Clone, Copy, Debug)]
pub struct EachKeyCommand {
    /// The id of the command.
    pub id: CommandId,
    /// The handler of each key.
    pub handler: KeyHandler,
    /// The fold of the replies.
    pub fold: Fold,
}

/// Finds rows by name without allocating: open addressing over a word that stands for the name. Built once per engine from
/// [`TABLE`]. Cost: one multiplication and a comparison or two of words for the names that are short and of letters alone,
/// which nearly all are; else a comparison of names.
#[derive(Clone)]
pub struct Lookup {
    cells: [Cell; CELLS],
}

/// A row under the word of its name.
#[derive(Clone, Copy, Default)]
struct Cell {
    word: u64,
    /// Row number plus one; 0 is empty.
    row: u16,
    /// The word and the length say all of the name.
    is_exact: bool,
    len: u8,
}

/// The flags of commands of one key that another way leads to: a subcommand is named by two words, and a barrier waits.
const NOT_OF_KEYS: u32 = flag::SUBCOMMAND | flag::BARRIER;

impl Cell {
    /// Whether the row's name is this one, of which the word is the cell's.
    #[inline]
    fn says(&self, name: &[u8]) -> bool {
        let has_name = || CommandId(self.row - 1).row().name.as_bytes().eq_ignore_ascii_case(name);
        usize::from(self.len) == name.len() && (self.is_exact || has_name())
    }
}

const CELLS: usize = 1024;
const _: () = assert!(TABLE.len() * 4 <= CELLS, "sparse, so that probing ends at once");

/// Characters of a name that its word says all of.
const WORD_CHARS: usize = 8;

impl Default for Lookup {
    fn default() -> Self {
        let mut cells = [Cell::default(); CELLS];
        for (row, number) in TABLE.iter().zip(1..) {
            let name = row.name.as_bytes();
            let word = word(name);
            let mut at = place(word, name.len());
            while cells[at].row != 0 {
                at = (at + 1) % CELLS;
            }
            // Bit 5 makes two characters one, unless it is a letter: only of letters the word says all.
            let is_exact = name.len() <= WORD_CHARS && name.iter().all(u8::is_ascii_lowercase);
            cells[at] = Cell { word, row: number, is_exact, len: name.len() as u8 };
        }
        Lookup { cells }
    }
}

impl Lookup {
    /// The row of a name in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        let word = word(name);
        let mut at = place(word, name.len());
        loop {
            let cell = self.cells[at];
            if cell.row == 0 {
                return None;
            }
            if cell.word == word && cell.says(name) {
                return Some(CommandId(cell.row - 1));
            }
            at = (at + 1) % CELLS;
        }
    }

    /// The command of one key, and what handles it, if the words are one.
    #[inline]
    pub fn find_key(&self, words: Args<'_>) -> Option<(CommandId, KeyHandler)> {
        let id = self.find(words.at(0))?;
        let row = id.row();
        match row.handler {
            Handler::Owner(OwnerHandler::Key(handler)) if row.takes(words.len()) && row.flags & NOT_OF_KEYS == 0 => {
                Some((id, handler))
            }
            _ => None,
        }
    }

    /// The row of a subcommand.
    pub fn find_sub(&self, container: &str, sub: &[u8]) -> Option<CommandId> {
        let name = [container.as_bytes(), b"|", sub].concat();
        self.find(&name)
    }
}

/// The first four characters of a name and the last four, which overlap in a short one; of three or fewer all, and some
/// twice. Case is folded by setting bit 5, which leaves letters of either case alike.
#[inline]
fn word(name: &[u8]) -> u64 {
    let folded = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32,
        _ => match *name {
            [a, b, c] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
            [a, b] => u64::from(a) | u64::from(b) << 8,
            [a] => u64::from(a),
            _ => 0,
        },
    };
    folded | 0x2020_2020_2020_2020
}

#[inline]
fn place(word: u64, len: usize) -> usize {
    ((word ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize % CELLS
}
