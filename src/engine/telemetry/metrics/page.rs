//! Page: families and samples of the text format, one line each. Pure.
//!
//! Invariant: a family is opened once, before its samples, and all of them follow: the format forbids anything else.

use std::fmt::{Display, Write};

/// What kind of number a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Kind {
    /// Only grows, until a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

/// A page in the making.
#[derive(Debug, Default)]
pub(in crate::engine) struct Page {
    text: String,
    /// Of the family whose samples are being written.
    name: &'static str,
}

impl Page {
    /// Opens a family: its samples follow.
    pub(in crate::engine) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        debug_assert!(!self.text.contains(&format!("# TYPE {name} ")), "{name} is opened twice");
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        // Writing to a String does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the open family; `suffix` is empty but for histograms.
    pub(in crate::engine) fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one number.
    pub(in crate::engine) fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample("", &[], value);
    }

    pub(in crate::engine) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_format() {
        let mut page = Page::default();
        page.family("a_total", Kind::Counter, "Some.");
        page.sample("", &[], 7);
        page.sample("", &[("x", "1"), ("y", "a\\b\"c\nd")], 0.25);
        page.gauge("b", "Other.", "+Inf");
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total 7\na_total{x=\"1\",y=\"a\\\\b\\\"c\\nd\"} 0.25\n\
                    # HELP b Other.\n# TYPE b gauge\nb +Inf\n";
        assert_eq!(page.into_text(), text);
    }
}
