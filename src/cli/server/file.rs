//! The file of `--config` beside the flags: which of them wins, and the flags' parser for the settings of the file.
//!
//! The file itself is read by `config::file`.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::config::FileError;
use crate::config::file::{self, Settings};

/// Reads the file at `path`. `server` is the command with its flags; `typed` has the given ones.
pub(in crate::cli) fn read(path: &Path, server: &Command, typed: &ArgMatches) -> Result<Settings, FileError> {
    file::read(path, |words| check(server, words), |flag| is_typed(typed, flag))
}

/// Checks a setting with the parser of the flags.
fn check(server: &Command, words: &[OsString]) -> Result<(), String> {
    let line = std::iter::once(OsString::from("server")).chain(words.iter().cloned());
    let Err(error) = server.clone().try_get_matches_from(line) else { return Ok(()) };
    // The first paragraph of the error as one line; usage and hints follow it.
    let text = error.to_string();
    let said: Vec<_> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    let why = said.strip_prefix("error: ").unwrap_or(&said);
    Err(if why.contains("; ") { why.to_owned() } else { format!("{why}; aspine server --help says what it takes") })
}

/// Whether a flag is given, or its environment variable is set.
fn is_typed(typed: &ArgMatches, flag: &str) -> bool {
    let source = typed.value_source(&flag.replace('-', "_"));
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
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
        // Also if the given value is the default.
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
            (
                "eviction = \"random\"\n",
                &["line 1", "random", "[possible values: s3fifo, lru, volatile-lru, volatile-ttl, none]"],
            ),
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
