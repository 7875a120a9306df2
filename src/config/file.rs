//! `--config FILE`: settings in TOML, under the long names of the flags.
//!
//! A setting is the flag of the same name: its value becomes an argument, and the same parser reads it. So every flag can be
//! set, with the same meaning and the same errors. Given flags and the environment win over the file. Every setting of the
//! file is checked, also if it is overridden.
//! Never: looks for a file that was not named, or reads one twice; the file is not read again after the start.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FileError;
use super::table::{self, Kind, SETTINGS, Setting};
use crate::limits::CONFIG_BYTES_MAX;

/// The settings of a file, as arguments.
#[derive(Debug, Default)]
pub struct Settings {
    /// The arguments, to be inserted behind `server`.
    pub args: Vec<OsString>,
    /// Notes for the log.
    pub notes: Vec<String>,
}

/// Reads the file at `path`. `check` is the parser of the flags, for one setting as an argument; `is_typed` tells whether a
/// flag was given, and so wins.
pub fn read(
    path: &Path,
    check: impl Fn(&[OsString]) -> Result<(), String>,
    is_typed: impl Fn(&str) -> bool,
) -> Result<Settings, FileError> {
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
        let row = find(name.get_ref()).map_err(|why| wrong(at, why))?;
        let words = words(row, value).map_err(|why| wrong(at, why))?;
        check(&words).map_err(|why| wrong(at, why))?;
        if is_typed(row.flag) || row.alternative.is_some_and(&is_typed) {
            continue;
        }
        if row.kind == Kind::Secret && mode & 0o004 != 0 {
            let path = path.display();
            settings.notes.push(format!(
                "{path} holds the auth key and is readable by every user of this machine; run chmod o-rwx {path}"
            ));
        }
        settings.args.extend(words);
    }
    Ok(settings)
}

/// The setting of a key.
fn find(name: &str) -> Result<&'static Setting, String> {
    match table::of_flag(name) {
        Some(row) if row.kind != Kind::Action => return Ok(row),
        Some(_) => return Err(format!("{name} is no setting; give --{name} on the command line")),
        None => {}
    }
    let likeness = |flag: &str| strsim::jaro_winkler(flag, &name.replace('_', "-").to_ascii_lowercase());
    let flags = SETTINGS.iter().filter(|row| !row.flag.is_empty() && row.kind != Kind::Action).map(|row| row.flag);
    let nearest = flags.max_by(|one, other| likeness(one).total_cmp(&likeness(other))).unwrap_or_default();
    Err(format!("there is no setting {name:?}; did you mean {nearest}? aspine server --help lists them all"))
}

/// The arguments of a setting.
fn words(row: &Setting, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
    let name = row.flag;
    if row.kind == Kind::Switch {
        return match value.get_ref() {
            DeValue::Boolean(true) => Ok(vec![format!("--{name}").into()]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("{name} is true or false, not {}; write {name} = true", kind(other))),
        };
    }
    let flag = |text: String| OsString::from(format!("--{name}={text}"));
    let DeValue::Array(items) = value.get_ref() else { return Ok(vec![flag(text(name, value.get_ref())?)]) };
    let items = items.iter().map(|item| text(name, item.get_ref())).collect::<Result<Vec<_>, _>>()?;
    match row.kind {
        Kind::List(between) => Ok(vec![flag(items.join(between))]),
        _ => Err(format!("{name} has one value, not a list; write {name} = {}", example(row))),
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

/// An example of a setting's value, for errors.
fn example(row: &Setting) -> String {
    row.default.map_or_else(|| "one value".to_owned(), |default| format!("{default:?}"))
}
