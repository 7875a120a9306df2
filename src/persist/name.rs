//! Names: the names that clients may give snapshots. A name is a file in one directory, never a path out of it.

use std::fmt;

use crate::limits::SNAPSHOT_NAME_BYTES_MAX;

/// The prefix of temporary files, which no valid name has.
const TEMPORARY: &str = ".aspine-";

/// A valid name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// The reason why a name is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl Name {
    /// Checks a name: 1 to 128 bytes of ASCII letters, digits, `.`, `_`, `-`, the first of them neither `.` nor `-`.
    pub fn parse(name: &[u8]) -> Result<Name, NameError> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let fits = (1..=SNAPSHOT_NAME_BYTES_MAX).contains(&name.len());
        if !fits || !name.iter().all(plain) || b".-".contains(&name[0]) {
            return Err(NameError);
        }
        Ok(Name(name.iter().map(|byte| char::from(*byte)).collect()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the temporary file that is written first.
    pub fn temporary(&self, id: u64) -> String {
        format!("{TEMPORARY}{id:016x}.tmp")
    }

    /// Whether a name is that of a temporary file.
    pub fn is_temporary(name: &str) -> bool {
        name.starts_with(TEMPORARY) && name.ends_with(".tmp")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a snapshot's name is a file name of 1 to {SNAPSHOT_NAME_BYTES_MAX} letters, digits, '.', '_' and '-' that \
             begins with none of '.' and '-'"
        )
    }
}

impl std::error::Error for NameError {}
