//! `aspine completions`, `aspine man`, `aspine version`: shell completions and manual pages, generated from the command
//! line, and the version.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use super::error::{EXIT_FAILED, Error};

/// Prints the version.
pub(super) fn version() -> Result<(), Error> {
    print(concat!("aspine ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())
}

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell, mut command: Command) -> Result<(), Error> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print(&script)
}

/// Prints the manual page of the program, or of one subcommand; or writes all of them into a directory.
pub(super) fn man(subcommand: Option<&str>, directory: Option<&Path>, command: Command) -> Result<(), Error> {
    let pages = pages(command)?;
    let Some(directory) = directory else {
        let name = subcommand.map_or_else(|| "aspine".to_owned(), |name| format!("aspine-{name}"));
        return match pages.iter().find(|(page, _)| *page == name) {
            Some((_, text)) => print(text),
            None => Err(failed(format!("no manual page {name}; aspine --help lists the commands"))),
        };
    };
    for (name, text) in pages {
        let path: PathBuf = directory.join(format!("{name}.1"));
        std::fs::write(&path, text).map_err(|error| {
            failed(format!("cannot write {}: {error}; --dir needs a directory this user may write", path.display()))
        })?;
    }
    Ok(())
}

/// The pages of the program and of each subcommand, with their names.
fn pages(mut command: Command) -> Result<Vec<(String, Vec<u8>)>, Error> {
    command.build();
    let subcommands: Vec<_> = command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    let mut pages = Vec::new();
    for page in std::iter::once(command).chain(subcommands) {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let mut text = Vec::new();
        let rendered = clap_mangen::Man::new(page).render(&mut text);
        rendered.map_err(|error| failed(format!("cannot write the manual page {name}: {error}; this is a bug")))?;
        pages.push((name, text));
    }
    Ok(pages)
}

fn print(text: &[u8]) -> Result<(), Error> {
    match io::stdout().write_all(text) {
        // A reader that closes the pipe, as head does, is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(failed(format!("cannot print: {error}; see where stdout goes")))
        }
        _ => Ok(()),
    }
}

fn failed(line: String) -> Error {
    Error::Command { code: EXIT_FAILED, line }
}
