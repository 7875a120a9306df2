//! Files: the files of a host as facts, each of which may be unknown, with the reason.
//!
//! Never: fails, panics, trusts a file's content.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The reason why a fact is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fact of the host, or the reason why it is unknown.
pub type Fact<T> = Result<T, Unknown>;

/// The files of a host.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn below(root: &Path) -> Files {
        Files(root.to_owned())
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The content of a file, trimmed.
    pub(super) fn text(&self, path: &str) -> Fact<String> {
        let bytes = fs::read(self.path(path)).map_err(|error| Unknown(format!("cannot read {path}: {error}")))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The content of a file, parsed; unknown if it does not parse.
    pub(super) fn parsed<T>(&self, path: &str, read: impl FnOnce(&str) -> Option<T>) -> Fact<T> {
        let text = self.text(path)?;
        let start: String = text.chars().take(40).collect();
        read(&text).ok_or_else(|| Unknown(format!("{path} says {start:?}")))
    }

    /// The names in a directory, sorted; none if it can't be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten();
        let mut names: Vec<_> =
            entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_read_is_unknown_and_says_what() {
        let files = Files::below(Path::new("/nonexistent"));
        assert_eq!(
            files.text("/proc/meminfo"),
            Err(Unknown("cannot read /proc/meminfo: No such file or directory (os error 2)".to_owned()))
        );
        assert!(files.names("/proc").is_empty());
    }
}
