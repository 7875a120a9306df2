//! Command: from the words of a request to the row of the table, and what Redis says where there is none. Core: the
//! session's home. Pure.

use crate::command::Error;
use crate::command::errors::quote;
use crate::command::facts::flag;
use crate::command::lookup::{CommandId, Lookup};
use crate::command::subcommand::unknown_subcommand;
use crate::limits::ERROR_QUOTE_BYTES_MAX;
use crate::resp::Args;

/// The row of a command line, and the arguments its handler gets. Of a subcommand that has more than it takes
/// at most these begin with its name as it was typed, for the refusal.
#[inline]
pub(super) fn find<'a>(
    lookup: &Lookup,
    words: Args<'a>,
    shows_cluster: impl FnOnce() -> bool,
) -> Result<(CommandId, Args<'a>), Error> {
    let Some(id) = lookup.find(words.at(0)) else { return Err(unknown_command(words)) };
    let row = id.row();
    if row.flags & (flag::CONTAINER | flag::SUBCOMMAND) == 0 {
        if row.takes(words.len()) {
            return Ok((id, words.tail(1)));
        }
        return Err(Error::Arity(row.name.to_owned()));
    }
    find_sub(lookup, id, words, shows_cluster)
}

/// The same for a container, which has subcommands.
#[inline(never)]
fn find_sub<'a>(
    lookup: &Lookup,
    mut id: CommandId,
    words: Args<'a>,
    shows_cluster: impl FnOnce() -> bool,
) -> Result<(CommandId, Args<'a>), Error> {
    let mut names = 1;
    let container = id.row();
    if container.is_container()
        && let Some(sub) = words.get(1)
        && let Some(sub_id) = lookup.find_sub(container.name, sub)
    {
        id = sub_id;
        names = if id.row().args_max().is_some_and(|most| words.len() > 2 + most) { 1 } else { 2 };
    }
    let row = id.row();
    if row.is_subcommand() && !container.is_container() {
        // Nobody names a subcommand by its table name.
        return Err(unknown_command(words));
    }
    if !row.takes(words.len()) {
        return Err(Error::Arity(row.name.to_owned()));
    }
    if row.is_container()
        && let Some(sub) = words.get(1)
    {
        return Err(unknown_subcommand(row, sub, words.len(), shows_cluster()));
    }
    Ok((id, words.tail(names)))
}

/// Whether a name that no command has is the beginning of a line of HTTP: what a web page makes a browser send to this port
/// begins with one, and what would run is in the lines behind it. The names are those that Redis looks for.
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// Quotes name and arguments as Redis does: 128 bytes of the name, and of the arguments as many as fit in 128.
#[cold]
fn unknown_command(words: Args<'_>) -> Error {
    let cut = |bytes: &[u8], max: usize| quote(&bytes[..bytes.len().min(max)]);
    let mut quoted = format!("'{}', with args beginning with: ", cut(words.at(0), ERROR_QUOTE_BYTES_MAX));
    let mut left = ERROR_QUOTE_BYTES_MAX;
    for arg in words.tail(1).iter() {
        if left == 0 {
            break;
        }
        let piece = format!("'{}' ", cut(arg, left));
        left = left.saturating_sub(piece.chars().count());
        quoted.push_str(&piece);
    }
    Error::UnknownCommand(quoted)
}
