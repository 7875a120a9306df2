//! Arguments: a command's syntax as the tree that COMMAND DOCS tells, so that redis-cli hints it. Pure.
//!
//! The syntax of a row is the one source. Words in capitals are tokens, others names; `[…]` is optional, `|` stands between
//! alternatives, and an optional part that repeats what stands before it and ends with `...` makes that multiple.

use crate::command::facts::Facts;
use crate::resp::Writer;

/// One argument, or several as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Argument {
    name: String,
    token: Option<String>,
    optional: bool,
    multiple: bool,
    kind: Kind,
    parts: Vec<Argument>,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// A value that the client chooses.
    #[default]
    Value,
    /// A word that stands for itself.
    Token,
    /// One of the parts.
    OneOf,
    /// All parts, in their order.
    Block,
}

/// The arguments of a command.
pub(super) fn of(row: &Facts) -> Vec<Argument> {
    let spaced = row.syntax.replace('[', " [ ").replace(']', " ] ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    flat(Parser { words: &words, at: 0 }.alternatives())
}

/// Writes the arguments of a command, as COMMAND DOCS has them.
pub(super) fn write(arguments: &[Argument], row: &Facts, writer: &mut Writer<'_>) {
    writer.array(arguments.len());
    for argument in arguments {
        let kind = argument.kind_name(row);
        let fields = 2 + usize::from(argument.token.is_some());
        let flags = argument.flags();
        writer.map(fields + usize::from(!flags.is_empty()) + usize::from(!argument.parts.is_empty()));
        let token = argument.token.as_deref();
        for (field, value) in [("name", Some(argument.name.as_str())), ("type", Some(kind)), ("token", token)] {
            if let Some(value) = value {
                writer.bulk(field.as_bytes());
                writer.bulk(value.as_bytes());
            }
        }
        if !flags.is_empty() {
            writer.bulk(b"flags");
            writer.set(flags.len());
            flags.iter().for_each(|flag| writer.simple(flag));
        }
        if !argument.parts.is_empty() {
            writer.bulk(b"arguments");
            write(&argument.parts, row, writer);
        }
    }
}

impl Argument {
    fn kind_name(&self, row: &Facts) -> &'static str {
        let is_key =
            matches!(self.name.as_str(), "key" | "newkey" | "destkey" | "source" | "destination" | "key1" | "key2");
        match self.kind {
            Kind::Token => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
            Kind::Value if is_key && row.keys.first > 0 => "key",
            Kind::Value => match self.name.as_str() {
                "seconds" | "milliseconds" | "offset" | "start" | "end" | "count" | "numkeys" | "decrement" => {
                    "integer"
                }
                "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
                "pattern" => "pattern",
                _ => "string",
            },
        }
    }

    fn flags(&self) -> Vec<&'static str> {
        // What repeats does so with its token.
        let token_repeats = self.multiple && self.token.is_some();
        let flags = [(self.optional, "optional"), (self.multiple, "multiple"), (token_repeats, "multiple_token")];
        flags.into_iter().filter_map(|(is, name)| is.then_some(name)).collect()
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Parser<'_> {
    fn next_is(&self, word: &str) -> bool {
        self.words.get(self.at) == Some(&word)
    }

    /// Everything up to the end, or to the bracket that closes it.
    fn alternatives(&mut self) -> Argument {
        let mut all = vec![self.sequence()];
        while self.next_is("|") {
            self.at += 1;
            all.push(self.sequence());
        }
        if all.len() == 1 { all.remove(0) } else { named(Kind::OneOf, all) }
    }

    /// Arguments one after the other.
    fn sequence(&mut self) -> Argument {
        let mut parts: Vec<Argument> = Vec::new();
        while let Some(&word) = self.words.get(self.at) {
            match word {
                "]" | "|" | "..." => break,
                "[" => {
                    self.at += 1;
                    let mut inner = self.alternatives();
                    let repeats = self.next_is("...");
                    self.at += usize::from(repeats) + 1;
                    let again = flat(inner.clone());
                    if repeats && parts.ends_with(&again) {
                        parts.truncate(parts.len() - again.len());
                        parts.push(Argument { multiple: true, ..named(Kind::Block, again) });
                    } else {
                        inner.optional = true;
                        inner.multiple |= repeats;
                        parts.push(inner);
                    }
                }
                word if is_token(word) => {
                    self.at += 1;
                    parts.push(self.with_token(word));
                }
                word => {
                    self.at += 1;
                    parts.push(Argument { name: word.to_owned(), ..Argument::default() });
                }
            }
        }
        named(Kind::Block, parts)
    }

    /// A token, with the values behind it.
    fn with_token(&mut self, token: &str) -> Argument {
        let mut values = Vec::new();
        while let Some(&word) = self.words.get(self.at)
            && !is_token(word)
            && !matches!(word, "[" | "]" | "|" | "...")
        {
            values.push(Argument { name: word.to_owned(), ..Argument::default() });
            self.at += 1;
        }
        let mut argument = match values.len() {
            0 => Argument { name: token.to_ascii_lowercase(), kind: Kind::Token, ..Argument::default() },
            _ => named(Kind::Block, values),
        };
        argument.token = Some(token.to_owned());
        argument
    }
}

fn is_token(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Several arguments as one, with a name made of theirs; one stays what it is.
fn named(kind: Kind, mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).take(3).collect();
    Argument { name: names.join("-"), kind, parts, ..Argument::default() }
}

/// The parts of a plain block; what is more than that stays one.
fn flat(argument: Argument) -> Vec<Argument> {
    let is_plain = argument.kind == Kind::Block && !argument.optional && !argument.multiple && argument.token.is_none();
    if is_plain { argument.parts } else { vec![argument] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::facts::{ROWS, find};

    /// The tree as text again, a little like redis-cli's hint.
    fn text(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let parts = match argument.kind {
                Kind::Token => String::new(),
                Kind::Value => argument.name.clone(),
                Kind::Block => text(&argument.parts),
                Kind::OneOf => {
                    argument.parts.iter().map(|part| text(std::slice::from_ref(part))).collect::<Vec<_>>().join("|")
                }
            };
            let token = argument.token.clone().unwrap_or_default();
            let whole = format!("{token} {parts}").trim().to_owned();
            let whole = if argument.multiple { format!("{whole}+") } else { whole };
            if argument.optional { format!("[{whole}]") } else { whole }
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_syntax_is_a_tree() {
        for (name, expected) in [
            ("get", "key"),
            ("mget", "key+"),
            ("mset", "key value+"),
            ("setrange", "key offset value"),
            ("getex", "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]"),
            ("scan", "cursor [MATCH pattern] [COUNT count] [TYPE type]"),
            ("bitcount", "key [start end [BYTE|BIT]]"),
            ("client|no-touch", "ON|OFF"),
            ("info", "[section+]"),
            ("ping", "[message]"),
            ("replicaof", "NO ONE"),
        ] {
            assert_eq!(text(&of(find(name.as_bytes()).expect("a command"))), expected, "{name}");
        }
    }

    #[test]
    fn a_token_repeats_with_what_it_stands_before() {
        let flags = |name: &str| of(find(name.as_bytes()).expect("a command")).last().expect("an argument").flags();
        assert_eq!(flags("bitfield_ro"), ["optional", "multiple", "multiple_token"]);
        assert_eq!(flags("mget"), ["multiple"]);
        assert_eq!(flags("lcs"), ["optional"]);
    }

    #[test]
    fn every_syntax_is_understood() {
        for row in ROWS {
            let whole = text(&of(&row));
            for word in
                row.syntax.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| !word.is_empty())
            {
                assert!(whole.contains(word), "{}: {word} of {} in {whole}", row.name, row.syntax);
            }
        }
    }
}
