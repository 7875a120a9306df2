//! LCS: the longest common subsequence of two values, its length, or where it lies in both. Pure.
//!
//! Cost: time and memory go with the product of the lengths, as everywhere; the table is bounded by
//! `LCS_TABLE_BYTES_MAX`. The choice among equally long subsequences is Redis's: where both ways are equal it goes back
//! in the second value.

use crate::command::{Error, Reply};
use crate::limits::LCS_TABLE_BYTES_MAX;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Writer};

/// The reply of LCS with IDX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    /// The runs from the last to the first: where each begins in either value, and its length.
    runs: Vec<Run>,
    /// The length of the whole subsequence.
    len: usize,
    /// Whether each run is written with its length.
    with_len: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

impl Matches {
    /// Writes the matches.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.map(2);
        writer.bulk(b"matches");
        writer.array(self.runs.len());
        for Run { a, b, len } in &self.runs {
            writer.array(if self.with_len { 3 } else { 2 });
            for from in [a, b] {
                writer.array(2);
                writer.integer(*from as i64);
                writer.integer((from + len - 1) as i64);
            }
            if self.with_len {
                writer.integer(*len as i64);
            }
        }
        writer.bulk(b"len");
        writer.integer(self.len as i64);
    }
}

/// The reply for two values; `args` are the options.
pub fn reply(a: &[u8], b: &[u8], args: Args<'_>) -> Result<Reply<'static>, Error> {
    let options = Options::parse(args)?;
    let table = Table::new(a, b)?;
    let len = table.at(a.len(), b.len()) as usize;
    if options.len {
        return Ok(Reply::Integer(len as i64));
    }
    let mut runs = table.runs(a, b);
    if !options.index {
        return Ok(Reply::Owned(runs.iter().rev().flat_map(|run| &a[run.a..run.a + run.len]).copied().collect()));
    }
    runs.retain(|run| run.len >= options.run_len_min);
    Ok(Reply::Matches(Matches { runs, len, with_len: options.with_len }))
}

#[derive(Default)]
struct Options {
    len: bool,
    index: bool,
    with_len: bool,
    run_len_min: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            rest = rest.tail(1);
            if is(b"IDX") {
                options.index = true;
            } else if is(b"LEN") {
                options.len = true;
            } else if is(b"WITHMATCHLEN") {
                options.with_len = true;
            } else if is(b"MINMATCHLEN")
                && let Some(len) = rest.get(0)
            {
                let len = parse_i64(len).ok_or(Error::NotInteger)?;
                options.run_len_min = usize::try_from(len).unwrap_or(0);
                rest = rest.tail(1);
            } else {
                return Err(Error::Syntax);
            }
        }
        if options.len && options.index { Err(Error::LcsLenAndIndex) } else { Ok(options) }
    }
}

/// Lengths of the longest common subsequence of all beginnings of two values.
struct Table {
    lens: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Result<Table, Error> {
        let width = b.len() + 1;
        let cells = (a.len() + 1).checked_mul(width).filter(|cells| *cells <= LCS_TABLE_BYTES_MAX / size_of::<u32>());
        let mut lens = vec![0u32; cells.ok_or(Error::LcsTooLong)?];
        for (row, one) in (1..).zip(a) {
            let (above, here) = lens[(row - 1) * width..(row + 1) * width].split_at_mut(width);
            for (column, other) in (1..).zip(b) {
                here[column] = if one == other { above[column - 1] + 1 } else { above[column].max(here[column - 1]) };
            }
        }
        Ok(Table { lens, width })
    }

    fn at(&self, a: usize, b: usize) -> u32 {
        self.lens[a * self.width + b]
    }

    /// The runs of one longest common subsequence, the last first.
    fn runs(&self, a: &[u8], b: &[u8]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut at, mut bt) = (a.len(), b.len());
        while at > 0 && bt > 0 {
            if a[at - 1] == b[bt - 1] {
                match runs.last_mut() {
                    Some(run) if run.a == at && run.b == bt => *run = Run { a: at - 1, b: bt - 1, len: run.len + 1 },
                    _ => runs.push(Run { a: at - 1, b: bt - 1, len: 1 }),
                }
                (at, bt) = (at - 1, bt - 1);
            } else if self.at(at - 1, bt) > self.at(at, bt - 1) {
                at -= 1;
            } else {
                bt -= 1;
            }
        }
        runs
    }
}
