//! Subcommands: those of a container, and the refusals where one is missing or has too many arguments.

use crate::command::errors::{Error, quote};
use crate::command::facts::{CLUSTER_CHANGES, Facts, ROWS, takes};

/// The facts of a container's subcommands.
pub fn subcommands(container: &str) -> Vec<&'static Facts> {
    ROWS.iter().filter(|row| row.is_subcommand() && row.container() == container).collect()
}

/// Refuses a subcommand that has more arguments than it takes at most. Redis quotes its name as it was typed.
pub fn too_many_arguments(subcommand: &Facts, typed: &[u8]) -> Error {
    Error::SubcommandSyntax(quote(typed), subcommand.container())
}

/// The error for a subcommand of `container` without a row, in a line of `words` words.
#[cold]
pub fn unknown_subcommand(container: &Facts, typed: &[u8], words: usize, shows_cluster: bool) -> Error {
    let is_same = |name: &str| {
        let sub = name.strip_prefix(container.name).and_then(|name| name.strip_prefix('|'));
        sub.is_some_and(|sub| sub.as_bytes().eq_ignore_ascii_case(typed))
    };
    if let Some((name, arity)) = CLUSTER_CHANGES.iter().find(|(name, _)| is_same(name)) {
        if !takes(*arity, words) {
            return Error::Arity((*name).to_owned());
        }
        if !shows_cluster {
            return Error::ClusterDisabled;
        }
    }
    Error::UnknownSubcommand(quote(&typed[..typed.len().min(128)]), container.name)
}
