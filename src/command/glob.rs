//! Glob patterns, as KEYS, SCAN and PSUBSCRIBE have them: Redis's `stringmatchlen`, odd cases included.
//!
//! Pure; any core. Cost: to compile, one look at each byte; to match, a step for each byte that is compared. What stands
//! before the first `*` and behind the last is compared once; between them the pieces are looked for from left to right,
//! each where it is found first, which suffices since an earlier piece that takes more can only leave less. A piece that
//! begins with a byte of its own is looked for with `memchr`. So a pattern of m elements costs a text of n bytes m x n steps
//! at most, whoever matches says how many there may be, and counts them in its slice. No recursion.
//! Redis's oddities, kept: nothing but the empty pattern matches the empty string, not even `*` (KEYS and SCAN take
//! a lone `*` for "all" before they ask here); an unclosed `[` ends with the pattern; `\` escapes inside `[]`, but
//! not the far end of a range; a range counts bytes as signed, as C does on x86.

use memchr::memchr;

use crate::limits::{GLOB_CLASSES_MAX, GLOB_PATTERN_BYTES_MAX, GLOB_STEP_SKIPPED_BYTES, GLOB_STEPS_MAX};

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    /// No two stars stand side by side.
    elements: Vec<Element>,
    classes: Vec<Class>,
    /// Where the first `*` stands, and the last.
    stars: Option<(usize, usize)>,
    /// Bytes of the shortest text that matches; `None` if none does.
    shortest: Option<usize>,
}

/// What a byte is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// This byte.
    Byte(u8),
    /// Any byte.
    Any,
    /// A byte of a class.
    Class(u8),
    /// Any bytes, or none.
    Star,
}

/// A set of bytes, in the order of signed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class([u64; 4]);

/// What came of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Whether the text as a whole matches; no if that took too many steps.
    pub matches: bool,
    /// How many steps it took.
    pub steps: u64,
}

impl Class {
    /// The place of a byte.
    #[inline]
    fn place(byte: u8) -> u32 {
        u32::from(byte ^ 0x80)
    }

    #[inline]
    fn has(&self, byte: u8) -> bool {
        let place = Class::place(byte);
        self.0[place as usize / 64] >> (place % 64) & 1 == 1
    }

    /// Adds all bytes between two, whichever of them comes first.
    fn add(&mut self, one: u8, other: u8) {
        let (one, other) = (Class::place(one), Class::place(other));
        let (first, last) = (one.min(other), one.max(other));
        for (at, word) in (0..).step_by(64).zip(&mut self.0) {
            if first < at + 64 && last >= at {
                let (low, high) = (first.saturating_sub(at), (last - at).min(63));
                *word |= u64::MAX << low & u64::MAX >> (63 - high);
            }
        }
    }

    /// Reads a class that begins behind a `[`. Returns what follows it.
    fn parse(class: &[u8]) -> (Class, &[u8]) {
        let (negated, mut rest) = match class {
            [b'^', rest @ ..] => (true, rest),
            _ => (false, class),
        };
        let mut found = Class::default();
        let rest = loop {
            rest = match *rest {
                [b'\\', escaped, ref rest @ ..] => {
                    found.add(escaped, escaped);
                    rest
                }
                [b']', ref rest @ ..] => break rest,
                [] => break rest,
                [from, b'-', to, ref rest @ ..] => {
                    found.add(from, to);
                    rest
                }
                [plain, ref rest @ ..] => {
                    found.add(plain, plain);
                    rest
                }
            };
        };
        if negated {
            found.0 = found.0.map(|word| !word);
        }
        (found, rest)
    }

    /// The one byte in it, if it is one.
    fn single(&self) -> Option<u8> {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        (0..=u8::MAX).find(|byte| count == 1 && self.has(*byte))
    }
}

impl Pattern {
    /// Compiles a pattern: `*` any bytes, `?` one, `[ab]` `[a-c]` `[^a]` one of or none of these, `\` takes the next byte
    /// as it is. One that is too long, or has too many classes, matches nothing.
    pub fn new(pattern: &[u8]) -> Pattern {
        let mut compiled = Pattern { elements: Vec::new(), classes: Vec::new(), stars: None, shortest: None };
        if pattern.len() > GLOB_PATTERN_BYTES_MAX {
            return compiled;
        }
        let mut rest = pattern;
        while let [first, after @ ..] = rest {
            let element;
            (element, rest) = match (*first, after) {
                (b'*', after) => (Element::Star, after),
                (b'?', after) => (Element::Any, after),
                (b'[', after) => {
                    let (class, after) = Class::parse(after);
                    let Some(element) = compiled.class(class) else { return compiled };
                    (element, after)
                }
                (b'\\', [escaped, after @ ..]) => (Element::Byte(*escaped), after),
                (plain, after) => (Element::Byte(plain), after),
            };
            compiled.push(element);
        }
        let stars = compiled.elements.iter().filter(|element| **element == Element::Star).count();
        compiled.shortest = Some(compiled.elements.len() - stars);
        compiled
    }

    fn push(&mut self, element: Element) {
        if element == Element::Star {
            if self.elements.last() == Some(&Element::Star) {
                return;
            }
            let at = self.elements.len();
            self.stars = Some((self.stars.map_or(at, |(first, _)| first), at));
        }
        self.elements.push(element);
    }

    /// The element of a class, unless there are too many.
    fn class(&mut self, class: Class) -> Option<Element> {
        if let Some(byte) = class.single() {
            return Some(Element::Byte(byte));
        }
        if class.0 == [u64::MAX; 4] {
            return Some(Element::Any);
        }
        let known = self.classes.last() == Some(&class);
        if !known {
            if self.classes.len() == GLOB_CLASSES_MAX {
                return None;
            }
            self.classes.push(class);
        }
        u8::try_from(self.classes.len() - 1).ok().map(Element::Class)
    }

    /// Whether a short text as a whole matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.within(text, GLOB_STEPS_MAX).matches
    }

    /// Whether a text as a whole matches, if that is found out in so many steps.
    pub fn within(&self, text: &[u8], steps_max: u64) -> Matched {
        let mut run = Run { pattern: self, steps: 1, steps_max };
        let matches = run.whole(text);
        Matched { matches, steps: run.steps }
    }
}

/// A match under way.
struct Run<'p> {
    pattern: &'p Pattern,
    steps: u64,
    steps_max: u64,
}

impl Run<'_> {
    fn whole(&mut self, text: &[u8]) -> bool {
        let pattern = self.pattern;
        let (elements, Some(shortest)) = (&pattern.elements[..], pattern.shortest) else { return false };
        if text.is_empty() {
            return elements.is_empty();
        }
        let Some((first, last)) = pattern.stars else {
            return text.len() == shortest && self.piece(elements, text);
        };
        if text.len() < shortest {
            return false;
        }
        let behind = &elements[last + 1..];
        let (text, end) = text.split_at(text.len() - behind.len());
        if !self.piece(&elements[..first], text) || !self.piece(behind, end) {
            return false;
        }
        let mut text = &text[first..];
        for piece in elements[first..last].split(|element| *element == Element::Star) {
            match self.find(piece, text) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        true
    }

    /// Whether a text begins with a piece without stars, which is no longer.
    #[inline]
    fn piece(&mut self, piece: &[Element], text: &[u8]) -> bool {
        let classes = &self.pattern.classes;
        let is = |element: &Element, byte: u8| match *element {
            Element::Byte(own) => own == byte,
            Element::Any => true,
            Element::Class(at) => classes[usize::from(at)].has(byte),
            Element::Star => false,
        };
        let differs = piece.iter().zip(text).position(|(element, byte)| !is(element, *byte));
        self.steps += differs.map_or(piece.len(), |at| at + 1) as u64;
        differs.is_none()
    }

    /// Looks for the first place of a piece. Returns the text behind it.
    fn find<'t>(&mut self, piece: &[Element], text: &'t [u8]) -> Option<&'t [u8]> {
        // Bytes of which any will do are not looked for.
        let any = piece.iter().take_while(|element| **element == Element::Any).count();
        let (piece, mut text) = (&piece[any..], text.get(any..)?);
        let Some(first) = piece.first() else { return Some(text) };
        while text.len() >= piece.len() && self.steps < self.steps_max {
            if let Element::Byte(byte) = *first {
                let found = memchr(byte, &text[..text.len() - piece.len() + 1]);
                let skipped = found.unwrap_or(text.len());
                self.steps += (skipped / GLOB_STEP_SKIPPED_BYTES) as u64;
                text = &text[found?..];
            }
            if self.piece(piece, text) {
                return Some(&text[piece.len()..]);
            }
            text = &text[1..];
        }
        None
    }
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
