//! Counts: the committed instruction counts, and what today's are beside them. For the bench and for its tests.
//!
//! The file is a head of comments, a line that says what counted, and a row a path. Never: measures anything.

use std::fmt::Write;

/// The growth of a path, in percent, beyond which the gate fails.
pub(crate) const GROWTH_PERCENT_MAX: f64 = 5.0;

/// The head of the file.
const HEAD: &str = "\
# Instructions per operation of the hot paths, counted by valgrind's callgrind. `.ci/run` fails when one grows by more
# than 5 %. `cargo bench --bench instructions -- --bless` writes this file; say in the commit why a number grew.
";
/// The text before the line that names the tools that counted.
const COUNTED_BY: &str = "# counted by: ";

/// Counts of all paths.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counts {
    /// Compiler and processor that they belong to.
    pub(crate) counted_by: String,
    /// Name, and instructions per operation.
    pub(crate) rows: Vec<(String, f64)>,
}

/// A path beside its committed count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The name of the path.
    pub(crate) name: String,
    /// The committed count; `None` for a new path.
    pub(crate) committed: Option<f64>,
    /// The measured count; `None` for a path that is gone.
    pub(crate) counted: Option<f64>,
}

/// The verdict of the gate on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the bounds.
    Same,
    /// Less than before by more than it might grow: worth committing, so that it can't creep back.
    Shrunk,
    /// More than it might grow.
    Grown,
    /// In one of the two only.
    Unmatched,
}

impl Counts {
    /// Reads the file.
    pub(crate) fn parse(text: &str) -> Result<Counts, String> {
        let mut counts = Counts { counted_by: String::new(), rows: Vec::new() };
        for (line, number) in text.lines().zip(1..) {
            if let Some(counted_by) = line.strip_prefix(COUNTED_BY) {
                counted_by.clone_into(&mut counts.counted_by);
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                let row = line.trim_end().rsplit_once(' ');
                let row = row.and_then(|(name, count)| Some((name.trim_end().to_owned(), count.parse().ok()?)));
                let row = row.filter(|(_, count): &(_, f64)| count.is_finite() && *count > 0.0);
                counts.rows.push(row.ok_or(format!("line {number}: `{line}` is not a name and a count"))?);
            }
        }
        Ok(counts)
    }

    /// The text of the file.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("{HEAD}{COUNTED_BY}{}\n\n", self.counted_by);
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, count) in &self.rows {
            let _infallible = writeln!(text, "{name:width$} {count:>9.1}");
        }
        text
    }

    /// Sets what was counted now beside these, in the order of now; what is gone comes last.
    pub(crate) fn beside(&self, now: &Counts) -> Vec<Row> {
        let find = |rows: &[(String, f64)], name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1);
        let row = |name: &String| Row {
            name: name.clone(),
            committed: find(&self.rows, name),
            counted: find(&now.rows, name),
        };
        let gone = self.rows.iter().filter(|(name, _)| find(&now.rows, name).is_none());
        now.rows.iter().chain(gone).map(|(name, _)| row(name)).collect()
    }
}

impl Row {
    /// Growth in percent, if there are two numbers.
    pub(crate) fn growth_percent(&self) -> Option<f64> {
        Some((self.counted? / self.committed? - 1.0) * 100.0)
    }

    /// The verdict of the gate.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.growth_percent() {
            None => Verdict::Unmatched,
            Some(growth) if growth > GROWTH_PERCENT_MAX => Verdict::Grown,
            Some(growth) if growth < -GROWTH_PERCENT_MAX => Verdict::Shrunk,
            Some(_) => Verdict::Same,
        }
    }

    /// One line for people.
    pub(crate) fn render(&self) -> String {
        let number = |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
        let growth = self.growth_percent().map_or(String::new(), |growth| format!("{growth:+.1} %"));
        let remark = match (self.verdict(), self.committed.is_some()) {
            (Verdict::Same, _) => "",
            (Verdict::Shrunk, _) => "  less: bless it",
            (Verdict::Grown, _) => "  GROWN",
            (Verdict::Unmatched, true) => "  GONE: bless it",
            (Verdict::Unmatched, false) => "  NEW: bless it",
        };
        let (name, committed, counted) = (&self.name, number(self.committed), number(self.counted));
        format!("{name:34} {committed:>9} {counted:>9} {growth:>9}{remark}")
    }
}

/// Whether the gate lets these rows pass.
pub(crate) fn passes(rows: &[Row]) -> bool {
    rows.iter().all(|row| matches!(row.verdict(), Verdict::Same | Verdict::Shrunk))
}

/// The instructions of a whole run, from the file that callgrind wrote.
pub(crate) fn total(callgrind_out: &str) -> Option<u64> {
    callgrind_out.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}
