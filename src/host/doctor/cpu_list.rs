//! Lists of CPUs in the kernel's format, as `0,2-5`: written and parsed.

use crate::limits::CPUS_MAX;

/// A list of CPUs in the kernel's format, as `0,2-5`.
pub(super) fn list(cpus: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = cpus;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(cpu, expected)| *cpu == expected).count();
        let comma = if text.is_empty() { "" } else { "," };
        match run {
            1 => text.push_str(&format!("{comma}{first}")),
            _ => text.push_str(&format!("{comma}{first}-{}", first + run - 1)),
        }
        rest = &rest[run..];
    }
    text
}

/// Parses a list in the kernel's format, ascending; `None` if it is malformed.
pub(super) fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}
