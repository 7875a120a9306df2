//! Notify: which key events are published, in the form of Redis's `notify-keyspace-events`.
//!
//! In Redis the setting is empty, and nothing is published until a client sets it. Here everything is published, since
//! events without a listener cost nothing; a client that sets it gets exactly what it asks for, the empty text included.

use std::fmt;

use crate::shard::{EVENTS, Event};

/// The letters of classes in Redis's order. `l s h z t d` are of types and modules that do not exist here.
const CLASSES: &[u8; 11] = b"g$lshzxetdn";
/// The classes that `A` stands for.
const ALL: &[u8; 10] = b"g$lshzxetd";

/// A set of classes, and of channels: a bit for each letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify(u32);

/// Redis's error for an unknown letter.
pub const BAD_LETTER: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

fn bit(letter: u8) -> Option<u32> {
    let at = CLASSES.iter().chain(b"KEm").position(|known| *known == letter)?;
    Some(1 << at)
}

impl Notify {
    /// Parses a text; `None` if a letter is unknown.
    pub fn parse(text: &[u8]) -> Option<Notify> {
        text.iter().try_fold(Notify(0), |set, letter| match letter {
            b'A' => Some(Notify(ALL.iter().filter_map(|class| bit(*class)).fold(set.0, |all, one| all | one))),
            letter => Some(Notify(set.0 | bit(*letter)?)),
        })
    }

    fn has(self, letter: u8) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether events go to the channels of their keys.
    pub fn keyspace(self) -> bool {
        self.has(b'K')
    }

    /// Whether events go to the channels of their names.
    pub fn keyevent(self) -> bool {
        self.has(b'E')
    }

    /// Whether an event is published.
    pub fn publishes(self, event: Event) -> bool {
        self.has(EVENTS[event.number()].2)
    }
}

impl Default for Notify {
    /// All but the two classes that `A` leaves out.
    fn default() -> Self {
        Notify::parse(b"AKE").unwrap_or(Notify(0))
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = ALL.iter().all(|class| self.has(*class));
        let classes = CLASSES.iter().filter(|class| self.has(**class) && !(all && ALL.contains(class)));
        let letters = classes.chain(b"KEm".iter().filter(|letter| self.has(**letter)));
        let text: String = letters.map(|letter| char::from(*letter)).collect();
        // Redis writes `A` for all classes but `n` and `m`.
        write!(f, "{}{text}", if all { "A" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_shown_as_redis_shows_them() {
        for (text, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Ex", "xE"),
            ("Kz", "zK"),
            ("K$gxe", "g$xeK"),
            ("A", "A"),
            ("g$lshzxetdE", "AE"),
            ("mEK", "KEm"),
            ("nE", "nE"),
            ("KEAnm", "AnKEm"),
            ("xxxEE", "xE"),
        ] {
            assert_eq!(Notify::parse(text.as_bytes()).map(|set| set.to_string()), Some(shown.to_owned()), "{text}");
        }
        assert_eq!(Notify::parse(b"Kq"), None);
        assert_eq!(Notify::default().to_string(), "AKE");
    }

    #[test]
    fn classes_decide_what_is_published() {
        let set = Notify::parse(b"Ex").unwrap_or_default();
        assert!(set.publishes(Event::Expired) && !set.publishes(Event::Del) && !set.publishes(Event::Evicted));
        assert!(set.keyevent() && !set.keyspace());
        let all = Notify::default();
        let silent: Vec<_> = EVENTS.iter().filter(|(event, ..)| !all.publishes(*event)).map(|row| row.1).collect();
        assert_eq!(silent, ["new", "keymiss"]);
    }
}
