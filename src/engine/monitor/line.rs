//! Line: one command as MONITOR shows it, but for its time. Pure.

use crate::command::Client;
use crate::command::handler::Command;
use crate::limits::MONITOR_ARGS_BYTES_MAX;
use crate::resp::Args;

/// The names of a command as they stand in the table, in upper case: for a command that was kept without its own.
pub(super) fn names_of(row: &Command, args: Args<'_>) -> Vec<Vec<u8>> {
    // What has too many arguments for a subcommand has the name of that among them.
    let names = if row.args_max().is_some_and(|most| args.len() > most) { 1 } else { usize::MAX };
    row.name.split('|').take(names).map(|name| name.to_ascii_uppercase().into_bytes()).collect()
}

/// Appends `[database address] "NAME" "argument" …`, as Redis writes it. Of very long arguments the rest is left out.
pub(super) fn append<'a>(
    text: &mut Vec<u8>,
    client: &Client,
    names: impl Iterator<Item = &'a [u8]>,
    (row, args): (&Command, Args<'_>),
) {
    let peer = match client.addr.strip_suffix(":0") {
        Some(path) => format!("[{} unix:{path}]", client.database),
        None => format!("[{} {}]", client.database, client.addr),
    };
    text.extend_from_slice(peer.as_bytes());
    for name in names {
        append_quoted(text, name, b"");
    }
    let mut left = MONITOR_ARGS_BYTES_MAX;
    for (at, arg) in args.iter().enumerate() {
        if row.is_secret(args, at) {
            append_quoted(text, b"(redacted)", b"");
        } else if arg.len() <= left {
            append_quoted(text, arg, b"");
            left -= arg.len();
        } else {
            let more = format!("... ({} more bytes)", arg.len() - left);
            append_quoted(text, &arg[..left], more.as_bytes());
            if at + 1 < args.len() {
                append_quoted(text, format!("... ({} more arguments)", args.len() - at - 1).as_bytes(), b"");
            }
            break;
        }
    }
}

/// Appends a blank and a word in quotes, in the form of Redis's own.
fn append_quoted(text: &mut Vec<u8>, word: &[u8], rest: &[u8]) {
    text.extend_from_slice(b" \"");
    for byte in word {
        match byte {
            b'\\' | b'"' => text.extend_from_slice(&[b'\\', *byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0x07 => text.extend_from_slice(b"\\a"),
            0x08 => text.extend_from_slice(b"\\b"),
            b' '..=b'~' => text.push(*byte),
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                text.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    text.extend_from_slice(rest);
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup::Lookup;
    use crate::resp::Words;

    fn shown(addr: &str, name: &str, args: &[&[u8]]) -> String {
        let client = Client { addr: addr.to_owned(), database: 3, ..Client::default() };
        let words = Words::new(args.iter().copied());
        let row = Lookup::default().find(name.as_bytes()).expect("a command").row();
        let names = names_of(row, words.args());
        let mut text = Vec::new();
        append(&mut text, &client, names.iter().map(Vec::as_slice), (row, words.args()));
        String::from_utf8(text).expect("printable")
    }

    #[test]
    fn words_are_quoted_as_redis_quotes_them() {
        assert_eq!(shown("1.2.3.4:5", "get", &[b"\x00\"\\\n\xff\t\r\x07\x08~ "]), {
            r#"[3 1.2.3.4:5] "GET" "\x00\"\\\n\xff\t\r\a\b~ ""#
        });
        assert_eq!(shown("/tmp/a.sock:0", "client|setname", &[b"me"]), {
            r#"[3 unix:/tmp/a.sock] "CLIENT" "SETNAME" "me""#
        });
    }

    #[test]
    fn auth_keys_are_not_shown() {
        assert_eq!(shown("a:1", "auth", &[b"key"]), r#"[3 a:1] "AUTH" "(redacted)""#);
        let args: [&[u8]; 6] = [b"3", b"AUTH", b"default", b"key", b"SETNAME", b"me"];
        let line = r#"[3 a:1] "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#;
        assert_eq!(shown("a:1", "hello", &args), line);
    }

    #[test]
    fn what_is_very_long_is_cut() {
        let long = vec![b'x'; MONITOR_ARGS_BYTES_MAX];
        assert_eq!(shown("a:1", "echo", &[&long]).len(), MONITOR_ARGS_BYTES_MAX + r#"[3 a:1] "ECHO" """#.len());
        let line = shown("a:1", "set", &[b"key", &long, b"EX", b"9"]);
        assert!(line.ends_with(r#"xxx... (3 more bytes)" "... (2 more arguments)""#), "{}", &line[line.len() - 60..]);
    }
}
