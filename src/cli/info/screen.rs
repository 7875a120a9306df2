//! Screen: INFO as it fits a terminal, in columns, with what has changed since the last look. Pure: from texts to text.
//!
//! A changed number is followed by its change and by the change a second. Lines that are wider than their column are cut;
//! of more lines than there is room for, the last one says how many are missing.

use std::collections::HashMap;

/// Columns of text are at least as wide as most lines of INFO.
const COLUMN_CHARS_MIN: usize = 44;
/// Blanks between columns.
const GAP_CHARS: usize = 2;
/// Fields that change by themselves, whose changes tell nothing.
const CLOCKS: [&str; 3] = ["server_time_usec", "uptime_in_seconds", "uptime"];

/// The room of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// What the last look found, for the changes.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    numbers: HashMap<String, f64>,
    at_ns: u64,
}

/// A line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    is_heading: bool,
}

impl Watcher {
    /// The screen for INFO's text at `now_ns`.
    pub(super) fn draw(&mut self, said: &str, now_ns: u64, room: Room, colour: bool) -> String {
        let seconds = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        let mut numbers = HashMap::new();
        let mut lines = Vec::new();
        let mut section = "";
        for line in said.lines().filter(|line| !line.is_empty()) {
            if line.starts_with("# ") {
                section = line;
                lines.push(Line { text: line.to_owned(), is_heading: true });
                continue;
            }
            let mut text = line.to_owned();
            if let Some((name, value)) = line.split_once(':')
                && let Ok(number) = value.parse::<f64>()
                && !CLOCKS.contains(&name)
            {
                let key = format!("{section}:{name}");
                let before = self.numbers.get(&key).filter(|before| **before != number && seconds > 0.0);
                if let Some(change) = before.map(|before| number - before) {
                    text.push_str(&format!("  {} ({}/s)", signed(change), signed(change / seconds)));
                }
                numbers.insert(key, number);
            }
            lines.push(Line { text, is_heading: false });
        }
        *self = Watcher { numbers, at_ns: now_ns };
        lay_out(lines, room, colour)
    }
}

/// A change, with decimals only if it has any that matter.
fn signed(change: f64) -> String {
    if change.fract() == 0.0 || change.abs() >= 100.0 { format!("{change:+.0}") } else { format!("{change:+.2}") }
}

/// The lines in columns, as the bytes that fill the screen.
fn lay_out(mut lines: Vec<Line>, room: Room, colour: bool) -> String {
    let rows = room.rows.max(2) - 1;
    let columns_max = (room.columns / COLUMN_CHARS_MIN).max(1);
    let columns = lines.len().div_ceil(rows).clamp(1, columns_max);
    if lines.len() > rows * columns {
        let missing = lines.len() + 1 - rows * columns;
        lines.truncate(rows * columns - 1);
        let text = format!("... {missing} more lines: name a section, as in info stats");
        lines.push(Line { text, is_heading: true });
    }
    // Without the gap behind the last one.
    let width = ((room.columns + GAP_CHARS) / columns).saturating_sub(GAP_CHARS).max(1);
    let mut screen = "\x1b[H".to_owned();
    for row in 0..rows.min(lines.len()) {
        for column in 0..columns {
            let Some(line) = lines.get(column * rows + row) else { break };
            if column > 0 {
                screen.push_str(&" ".repeat(GAP_CHARS));
            }
            let shown: String = line.text.chars().take(width).collect();
            let blanks = if column + 1 < columns { width - shown.chars().count() } else { 0 };
            let shown = if line.is_heading && colour { format!("\x1b[1m{shown}\x1b[0m") } else { shown };
            screen.push_str(&shown);
            screen.push_str(&" ".repeat(blanks));
        }
        screen.push_str("\x1b[K\r\n");
    }
    screen.push_str("\x1b[J");
    screen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The screen without escapes.
    fn rows(screen: &str) -> Vec<String> {
        let plain = screen.replace("\x1b[H", "").replace("\x1b[K", "").replace("\x1b[J", "");
        plain.lines().map(|row| row.trim_end().to_owned()).collect()
    }

    #[test]
    fn changes_and_rates_stand_behind_their_numbers() {
        let room = Room { rows: 24, columns: 80 };
        let mut watcher = Watcher::default();
        let first =
            watcher.draw("# Stats\r\ncommands:10\r\nratio:0.5\r\nname:x\r\nuptime:1\r\n", 1_000_000_000, room, false);
        assert_eq!(rows(&first), ["# Stats", "commands:10", "ratio:0.5", "name:x", "uptime:1"]);
        let then =
            watcher.draw("# Stats\r\ncommands:40\r\nratio:0.25\r\nname:y\r\nuptime:3\r\n", 3_000_000_000, room, false);
        let expected = ["# Stats", "commands:40  +30 (+15/s)", "ratio:0.25  -0.25 (-0.12/s)", "name:y", "uptime:3"];
        assert_eq!(rows(&then), expected);
        let same = watcher.draw("# Stats\r\ncommands:40\r\n", 4_000_000_000, room, false);
        assert_eq!(rows(&same), ["# Stats", "commands:40"]);
    }

    #[test]
    fn every_screen_fits_its_room() {
        let said: String = (0..100).map(|number| format!("field_{number}:{}\r\n", "9".repeat(number))).collect();
        for (height, width) in [(24, 80), (5, 20), (60, 200), (2, 1), (1, 1), (0, 0), (200, 80)] {
            let screen = Watcher::default().draw(&said, 0, Room { rows: height, columns: width }, false);
            let rows = rows(&screen);
            assert!(rows.len() < height.max(2), "{height}: {rows:?}");
            assert!(rows.iter().all(|row| row.chars().count() <= width.max(1)), "{width}: {rows:?}");
        }
        let screen = Watcher::default().draw(&said, 0, Room { rows: 24, columns: 100 }, true);
        assert!(screen.contains("... 55 more lines: name a section"), "{screen}");
        assert!(screen.contains("\x1b[1m..."));
        let whole = Watcher::default().draw(&said, 0, Room { rows: 60, columns: 100 }, false);
        assert!(!whole.contains("more lines") && whole.contains("field_99"));
    }
}
