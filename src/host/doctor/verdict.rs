//! Verdict: what a check says of its facts, and the words for it.

use super::files::Unknown;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The fact is as it should be.
    Ok,
    /// The server runs, but slower than it could, or the fact is unknown.
    Warning,
    /// The server does not start, or will be killed.
    Failing,
}

impl Verdict {
    /// The verdict as printed.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failing => "failing",
        }
    }
}

/// The verdict, the fact, and the fix.
pub(super) type Outcome = (Verdict, String, String);

pub(super) fn ok(found: impl Into<String>) -> Outcome {
    (Verdict::Ok, found.into(), String::new())
}

pub(super) fn warning(found: impl Into<String>, fix: impl Into<String>) -> Outcome {
    (Verdict::Warning, found.into(), fix.into())
}

pub(super) fn failing(found: impl Into<String>, fix: impl Into<String>) -> Outcome {
    (Verdict::Failing, found.into(), fix.into())
}

pub(super) fn unknown(unknown: &Unknown, fix: impl Into<String>) -> Outcome {
    warning(format!("unknown: {unknown}"), fix)
}

/// Splits an error's line, `what failed: why; what to do`, into the fact and the fix.
pub(super) fn parts(line: &str) -> (String, String) {
    let (found, fix) = line.rsplit_once("; ").unwrap_or((line, ""));
    (found.to_owned(), fix.to_owned())
}

/// A number of bytes in a readable unit.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >= 1 << shift) {
        Some((unit, shift)) if bytes.trailing_zeros() >= *shift => format!("{} {unit}", bytes >> shift),
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}
