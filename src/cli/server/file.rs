//! `--config FILE`: settings in TOML, under the long names of the flags.
//!
//! A setting is the flag it is named like: its value is put among what was typed, and read by the same parser. So
//! whatever flag there is can be set, and means and refuses the same. What was typed is not put in again: flags and the
//! environment win. Every setting of the file is checked, also where it is overridden.
//! Never: looks for a file that was not named, or reads one twice; the server does not see it again after its start.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::FileError;
use crate::limits::CONFIG_BYTES_MAX;

/// Flags that are no settings: they say what to do, not how to serve.
const NO_SETTINGS: [&str; 5] = ["check", "config", "end-with-parent", "help", "version"];

/// Flags of one value that may be written as a list, and what stands between its parts when they are typed.
const LISTS: [(&str, &str); 2] = [("cpus", ","), ("client-output-limit", " ")];

/// Settings that are two ways to say one thing: whoever types one does not want the file's other.
const ALTERNATIVES: [[&str; 2]; 2] = [["authkey", "authkey-file"], ["cores", "cpus"]];

/// What a file adds to what was typed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Settings {
    /// To come right after `server`.
    pub(in crate::cli) args: Vec<OsString>,
    /// For the log.
    pub(in crate::cli) notes: Vec<String>,
}

/// Reads the file at `path`. `server` is the command with its flags; `typed` is what was typed after it.
pub(in crate::cli) fn read(path: &Path, server: &Command, typed: &ArgMatches) -> Result<Settings, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let wrong = |at: usize, why: String| {
        let line = 1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        FileError::Line { path: path.to_owned(), line, why }
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let why = error.message().replace('\n', ", ");
        wrong(at, format!("this is no TOML: {why}; write settings as max-memory = \"4gb\""))
    })?;
    let mut settings = Settings::default();
    for (name, value) in table.get_ref() {
        let at = name.span().start;
        let arg = find(server, name.get_ref()).map_err(|why| wrong(at, why))?;
        let words = words(arg, name.get_ref(), value).map_err(|why| wrong(at, why))?;
        check(server, &words).map_err(|why| wrong(at, why))?;
        if is_typed(typed, name.get_ref()) {
            continue;
        }
        if name.get_ref() == "authkey" && mode & 0o004 != 0 {
            let path = path.display();
            settings.notes.push(format!(
                "{path} holds the auth key and is readable by every user of this machine; run chmod o-rwx {path}"
            ));
        }
        settings.args.extend(words);
    }
    Ok(settings)
}

/// Every flag of the server that has a value, by name, as it was given or by default. `matches`: the whole command line.
pub(in crate::cli) fn given(program: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let (Some(server), Some(typed)) = (program.find_subcommand("server"), matches.subcommand_matches("server")) else {
        return Vec::new();
    };
    let one = |arg: &Arg| {
        let name = arg.get_long()?.to_owned();
        let id = arg.get_id().as_str();
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            return Some((name, typed.get_flag(id).to_string()));
        }
        let text = typed.try_get_raw(id).ok()??.next()?.to_string_lossy().into_owned();
        Some((name, text))
    };
    server.get_arguments().filter_map(one).collect()
}

/// The flag that a setting is named like.
fn find<'a>(server: &'a Command, name: &str) -> Result<&'a Arg, String> {
    let args = server.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let settings: Vec<_> = args.filter(|(long, _)| !NO_SETTINGS.contains(long)).collect();
    if let Some((_, arg)) = settings.iter().find(|(long, _)| *long == name) {
        return Ok(arg);
    }
    if NO_SETTINGS.contains(&name) {
        return Err(format!("{name} is no setting; give --{name} on the command line"));
    }
    let likeness = |long: &str| strsim::jaro_winkler(long, &name.replace('_', "-").to_ascii_lowercase());
    let nearest = settings.iter().map(|(long, _)| *long).max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let nearest = nearest.unwrap_or_default();
    Err(format!("there is no setting {name:?}; did you mean {nearest}? aspine server --help lists them all"))
}

/// A setting as it would be typed.
fn words(arg: &Arg, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value.get_ref() {
            DeValue::Boolean(true) => Ok(vec![format!("--{name}").into()]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("{name} is true or false, not {}; write {name} = true", kind(other))),
        };
    }
    let flag = |text: String| OsString::from(format!("--{name}={text}"));
    let DeValue::Array(items) = value.get_ref() else { return Ok(vec![flag(text(name, value.get_ref())?)]) };
    let items = items.iter().map(|item| text(name, item.get_ref())).collect::<Result<Vec<_>, _>>()?;
    if matches!(arg.get_action(), ArgAction::Append) {
        return Ok(items.into_iter().map(flag).collect());
    }
    match LISTS.iter().find(|(list, _)| *list == name) {
        Some((_, between)) => Ok(vec![flag(items.join(between))]),
        None => Err(format!("{name} has one value, not a list; write {name} = {}", example(arg))),
    }
}

/// The text of a value.
fn text(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("{name} is no number of 64 bits; give a smaller one")),
        other => Err(format!("{name} is a text or a whole number, not {}; put it in quotes", kind(other))),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value of `arg`, as its help has it.
fn example(arg: &Arg) -> String {
    match arg.get_default_values().first() {
        Some(default) => format!("{default:?}"),
        None => "one value".to_owned(),
    }
}

/// Whether the parser takes a setting by itself.
fn check(server: &Command, words: &[OsString]) -> Result<(), String> {
    let line = std::iter::once(OsString::from("server")).chain(words.iter().cloned());
    let Err(error) = server.clone().try_get_matches_from(line) else { return Ok(()) };
    // Its first paragraph, as one line; usage and hints follow.
    let text = error.to_string();
    let said: Vec<_> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    let why = said.strip_prefix("error: ").unwrap_or(&said);
    Err(if why.contains("; ") { why.to_owned() } else { format!("{why}; aspine server --help says what it takes") })
}

/// Whether a setting, or its alternative, was typed or stands in the environment.
fn is_typed(typed: &ArgMatches, name: &str) -> bool {
    let pair = ALTERNATIVES.iter().find(|pair| pair.contains(&name));
    let names = pair.map_or(std::slice::from_ref(&name), |pair| &pair[..]);
    names.iter().any(|name| {
        let source = typed.value_source(&name.replace('-', "_"));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Error, parse_command};
    use crate::config::{ByteSize, ServerArgs};

    /// What `aspine server --config FILE` and `flags` make of a file that says `text`.
    fn parse(text: &str, flags: &[&str]) -> Result<ServerArgs, String> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aspine-config-{}-{number}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let typed = ["aspine", "server", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
        let parsed = parse_command(typed.map(OsString::from));
        std::fs::remove_file(&path).unwrap();
        match parsed {
            Ok(Command::Server(args)) => Ok(*args),
            Ok(_) => panic!("the word is server"),
            Err(error) => {
                let Error::Config(error) = error else { panic!("{error}") };
                Err(error.to_string().replace(path.to_str().unwrap(), "FILE"))
            }
        }
    }

    #[test]
    fn settings_are_flags() {
        let args = parse(
            "# a comment\nhost = \"::1\"\nport = 7_000\nmax-memory = \"4gb\"\npersist = true\ncpus = [0, \"2-3\"]\n\
             client-output-limit = [\"1mb\", 2, 3]\nmax-size = 0x10\nlog-file = '/l\"og'\neviction = \"none\"\n",
            &[],
        )
        .unwrap();
        assert_eq!((args.host.as_str(), args.port, args.items_max), ("::1", 7000, Some(16)));
        assert_eq!((args.bytes_max, args.persist), (Some(ByteSize(4 << 30)), true));
        assert_eq!(args.cpus.unwrap().into_vec(), [0, 2, 3]);
        assert_eq!((args.output_limit.hard_bytes, args.output_limit.soft_s), (1 << 20, 3));
        assert_eq!(args.log_file, Some("/l\"og".into()));
        assert!(!parse("persist = false\n", &[]).unwrap().persist);
        assert_eq!(parse("max-memory = 1000\n", &[]).unwrap().bytes_max, Some(ByteSize(1000)));
    }

    #[test]
    fn what_was_typed_wins() {
        let file = "port = 1\nmax-memory = \"4gb\"\nauthkey = \"of the file\"\ncpus = \"0-3\"\n";
        let args = parse(file, &["--port", "2", "--authkey-file", "/k", "--cores", "1"]).unwrap();
        assert_eq!((args.port, args.bytes_max), (2, Some(ByteSize(4 << 30))));
        assert_eq!((args.auth.flag, args.auth.file), (None, Some("/k".into())));
        assert_eq!((args.cores, args.cpus), (Some(1), None));
        let args = parse(file, &["--port=2"]).unwrap();
        assert_eq!(args.auth.flag, Some(b"of the file".to_vec()));
        assert!(args.notes[0].contains("chmod o-rwx"), "{:?}", args.notes);
        // Also where the default is typed.
        assert_eq!(parse("port = 1\n", &["--port", "5116"]).unwrap().port, 5116);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, words) in [
            ("port = 1\nmax-memroy = 5\n", &["FILE, line 2", "\"max-memroy\"", "did you mean max-memory?"][..]),
            ("max_memory = 5\n", &["line 1", "did you mean max-memory?"]),
            ("maxmemory = 5\n", &["did you mean max-memory?"]),
            ("zzz = 5\n", &["line 1", "did you mean "]),
            ("[server]\nport = 1\n", &["line 1", "\"server\""]),
            ("config = \"x\"\n", &["line 1", "--config on the command line"]),
            ("\n\nport = 65536\n", &["line 3", "65536", "--port"]),
            ("port = \"many\"\n", &["line 1", "many", "--port"]),
            ("port = 1.5\n", &["line 1", "port", "fraction"]),
            ("port = true\n", &["line 1", "port", "true or false"]),
            ("port = [1, 2]\n", &["line 1", "port", "not a list", "port = \"5116\""]),
            ("port = 99999999999999999999\n", &["line 1", "port"]),
            ("port.x = 1\n", &["line 1", "port", "a table"]),
            ("persist = \"yes\"\n", &["line 1", "persist", "true or false"]),
            ("max-memory = \"5x\"\n", &["line 1", "5x", "--max-memory", "for example 512mb"]),
            ("eviction = \"random\"\n", &["line 1", "random", "[possible values: lru, none]"]),
            ("port = 1\nport = 2\n", &["line 2", "no TOML"]),
            ("port = 1\nport 2\n", &["line 2", "no TOML"]),
            ("host = \"a\n", &["line 1", "no TOML"]),
        ] {
            let error = parse(text, &["--port", "1"]).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word} in {error}");
            }
            assert!(!error.contains('\n') && error.contains("FILE, line "), "{error}");
        }
    }
}
