//! COMMAND and its subcommands, and the table of docs/commands.md, all derived from the facts.

mod arguments;
mod origin;

use std::fmt::Write;

use crate::command::context::{After, Home};
use crate::command::errors::error;
use crate::command::facts::{Facts, ROWS, find, flag};
use crate::command::glob::Pattern;
use crate::command::subcommand::subcommands;
use crate::command::{Client, Error};
use crate::resp::{Args, Writer};

fn top_level() -> impl Iterator<Item = &'static Facts> + Clone {
    ROWS.iter().filter(|row| !row.is_subcommand())
}

/// Handles COMMAND.
pub fn command(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.array(top_level().count());
    for row in top_level() {
        write_info(row, writer);
    }
    After::Continue
}

/// Handles COMMAND COUNT.
pub fn command_count(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.integer(top_level().count() as i64);
    After::Continue
}

/// `COMMAND INFO [name ...]`.
pub fn command_info(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if args.is_empty() {
        return command(_client, args, _home, writer);
    }
    writer.array(args.len());
    for name in args.iter() {
        match find(name) {
            Some(row) => write_info(row, writer),
            None => writer.null(),
        }
    }
    After::Continue
}

/// `COMMAND DOCS [name ...]`. Unknown names are left out, as Redis does.
pub fn command_docs(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let rows: Vec<_> = if args.is_empty() { top_level().collect() } else { args.iter().filter_map(find).collect() };
    writer.map(rows.len());
    for row in rows {
        write_docs(row, writer);
    }
    After::Continue
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`.
pub fn command_list(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let names: Vec<&str> = match (args.len(), args.get(0), args.get(1), args.get(2)) {
        (0, ..) => top_level().map(|row| row.name).collect(),
        (3, Some(filter), Some(kind), Some(value)) if filter.eq_ignore_ascii_case(b"FILTERBY") => {
            match kind.to_ascii_uppercase().as_slice() {
                b"MODULE" => Vec::new(),
                b"ACLCAT" => ROWS
                    .iter()
                    .filter(|row| {
                        categories(row).iter().any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(value))
                    })
                    .map(|row| row.name)
                    .collect(),
                b"PATTERN" => {
                    let pattern = Pattern::new(&value.to_ascii_lowercase());
                    ROWS.iter().map(|row| row.name).filter(|name| pattern.matches(name.as_bytes())).collect()
                }
                _ => {
                    error(writer, &Error::Syntax);
                    return After::Continue;
                }
            }
        }
        _ => {
            error(writer, &Error::Syntax);
            return After::Continue;
        }
    };
    writer.array(names.len());
    for name in names {
        writer.bulk(name.as_bytes());
    }
    After::Continue
}

/// `COMMAND GETKEYS command arg [arg ...]`.
pub fn command_getkeys(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let mut row = find(args.at(0));
    if let (Some(container), Some(sub)) = (row, args.get(1))
        && container.is_container()
    {
        row = find(&[container.name.as_bytes(), b"|", sub].concat());
    }
    let refusal = match row {
        None => Error::GetKeysUnknown,
        Some(row) if row.keys.first == 0 => Error::GetKeysNone,
        Some(row) if !row.takes(args.len()) => Error::GetKeysArity,
        Some(row) => {
            let keys = row.key_positions(args);
            let keys: Vec<_> = keys.filter_map(|at| args.get(at)).collect();
            writer.array(keys.len());
            for key in keys {
                writer.bulk(key);
            }
            return After::Continue;
        }
    };
    error(writer, &refusal);
    After::Continue
}

/// The ten fields of COMMAND INFO.
fn write_info(row: &Facts, writer: &mut Writer<'_>) {
    let subs = if row.is_subcommand() { Vec::new() } else { subcommands(row.name) };
    writer.array(10);
    writer.bulk(row.name.as_bytes());
    writer.integer(i64::from(row.arity));
    let flags: Vec<_> = flag::NAMES.iter().filter(|(bit, _)| row.is(*bit)).map(|(_, name)| *name).collect();
    writer.set(flags.len());
    for name in flags {
        writer.simple(name);
    }
    // Redis reports no positions if an argument says how many keys there are.
    let told = |number: i64| if row.counts_keys() { 0 } else { number };
    writer.integer(told(i64::from(row.keys.first)));
    writer.integer(told(i64::from(row.keys.last)));
    writer.integer(told(i64::from(row.keys.step)));
    let categories = categories(row);
    writer.set(categories.len());
    for category in categories {
        writer.simple(&category);
    }
    let tips = tips(row);
    writer.set(tips.len());
    for tip in tips {
        writer.bulk(tip.as_bytes());
    }
    write_key_specs(row, writer);
    writer.array(subs.len());
    for sub in subs {
        write_info(sub, writer);
    }
}

/// The command tips that a cluster client needs to send a command to several nodes, in Redis's words. They follow from the
/// handlers, as a test holds.
const TIPS: [(&str, &[&str]); 13] = [
    ("clusterscan", &["request_policy:special", "response_policy:special", "nondeterministic_output"]),
    ("dbsize", &["request_policy:all_shards", "response_policy:agg_sum"]),
    ("del", &["request_policy:multi_shard", "response_policy:agg_sum"]),
    ("exists", &["request_policy:multi_shard", "response_policy:agg_sum"]),
    ("flushall", &["request_policy:all_shards", "response_policy:all_succeeded"]),
    ("flushdb", &["request_policy:all_shards", "response_policy:all_succeeded"]),
    ("keys", &["request_policy:all_shards", "nondeterministic_output_order"]),
    ("mget", &["request_policy:multi_shard"]),
    ("mset", &["request_policy:multi_shard", "response_policy:all_succeeded"]),
    ("randomkey", &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    ("scan", &["request_policy:special", "response_policy:special", "nondeterministic_output"]),
    ("touch", &["request_policy:multi_shard", "response_policy:agg_sum"]),
    ("unlink", &["request_policy:multi_shard", "response_policy:agg_sum"]),
];

fn tips(row: &Facts) -> &'static [&'static str] {
    TIPS.iter().find(|(name, _)| *name == row.name).map_or(&[], |(_, tips)| tips)
}

/// Writes the key specification for first, last and step.
fn write_key_specs(row: &Facts, writer: &mut Writer<'_>) {
    if row.keys.first == 0 {
        return writer.array(0);
    }
    let access: &[&str] = if row.is(flag::READONLY) { &["RO", "access"] } else { &["RW", "update"] };
    writer.array(1);
    writer.map(3);
    writer.bulk(b"flags");
    writer.set(access.len());
    for name in access {
        writer.simple(name);
    }
    writer.bulk(b"begin_search");
    writer.map(2);
    writer.bulk(b"type");
    writer.bulk(b"index");
    writer.bulk(b"spec");
    writer.map(1);
    writer.bulk(b"index");
    writer.integer(i64::from(row.keys.first) - i64::from(row.counts_keys()));
    // Relative to the first key, but counted from the end if negative.
    let last = if row.keys.last < 0 { row.keys.last } else { row.keys.last - row.keys.first.cast_signed() };
    let step = i64::from(row.keys.step);
    let (kind, spec) = if row.counts_keys() {
        // The search begins at the argument that counts.
        ("keynum", [("keynumidx", 0), ("firstkey", 1), ("keystep", step)])
    } else {
        ("range", [("lastkey", i64::from(last)), ("keystep", step), ("limit", 0)])
    };
    writer.bulk(b"find_keys");
    writer.map(2);
    writer.bulk(b"type");
    writer.bulk(kind.as_bytes());
    writer.bulk(b"spec");
    writer.map(3);
    for (name, value) in spec {
        writer.bulk(name.as_bytes());
        writer.integer(value);
    }
}

fn write_docs(row: &Facts, writer: &mut Writer<'_>) {
    let subs = if row.is_subcommand() { Vec::new() } else { subcommands(row.name) };
    let arguments = arguments::of(row);
    let (since, complexity) = origin::of(row.name);
    writer.bulk(row.name.as_bytes());
    writer.map(
        3 + usize::from(complexity.is_some()) + usize::from(!arguments.is_empty()) + usize::from(!subs.is_empty()),
    );
    let (since, group) = (Some(since.unwrap_or(SINCE)), Some(row.group.name()));
    let fields = [("summary", Some(row.summary)), ("since", since), ("group", group), ("complexity", complexity)];
    for (field, value) in fields {
        if let Some(value) = value {
            writer.bulk(field.as_bytes());
            writer.bulk(value.as_bytes());
        }
    }
    if !arguments.is_empty() {
        writer.bulk(b"arguments");
        arguments::write(&arguments, row, writer);
    }
    if !subs.is_empty() {
        writer.bulk(b"subcommands");
        writer.map(subs.len());
        for sub in subs {
            write_docs(sub, writer);
        }
    }
}

/// The version of Aspine that introduced the commands that no Redis has.
const SINCE: &str = "3.0.0";

/// Redis's ACL categories, derived from flags and group.
fn categories(row: &Facts) -> Vec<String> {
    let mut categories = Vec::new();
    if row.keys.first > 0 || row.is(flag::READONLY) {
        categories.push("@keyspace".to_owned());
    }
    if row.is(flag::READONLY) {
        categories.push("@read".to_owned());
    }
    if row.is(flag::WRITE) {
        categories.push("@write".to_owned());
    }
    if ["bitmap", "string"].contains(&row.group.name()) {
        categories.retain(|category| category != "@keyspace");
        categories.push(format!("@{}", row.group.name()));
    }
    if row.is(flag::PUBSUB) {
        categories.push("@pubsub".to_owned());
    }
    if row.is(flag::ADMIN) {
        categories.extend(["@admin".to_owned(), "@dangerous".to_owned()]);
    }
    categories.push(if row.is(flag::FAST) { "@fast" } else { "@slow" }.to_owned());
    if row.group.name() == "connection" {
        categories.push("@connection".to_owned());
    }
    categories
}

/// The table of docs/commands.md, in Markdown.
pub fn markdown_table() -> String {
    let mut text = String::from("| command | arguments | |\n|---|---|---|\n");
    // A container that does not run alone is only a name.
    for row in ROWS.iter().filter(|row| !row.is_container() || row.takes(1)) {
        let name = row.name.to_ascii_uppercase().replace('|', " ");
        let syntax =
            if row.syntax.is_empty() { String::new() } else { format!("`{}`", row.syntax.replace('|', "\\|")) };
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {name} | {syntax} | {} |", row.summary);
    }
    text
}
