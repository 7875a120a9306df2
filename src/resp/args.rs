//! Args: the arguments of one request, as spans over a borrowed buffer: nothing is copied.
//!
//! Owner: the holder of the buffer (a session's input, or a batch from a peer). Cost: 8 bytes an argument.
//! Never: allocates, or panics on a span outside its buffer (such an argument reads as absent).

use std::fmt;
use std::ops::Index;

/// The position of one argument in its buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The offset of the first byte.
    pub start: u32,
    /// The length in bytes.
    pub len: u32,
}

/// Arguments that own their bytes.
#[derive(Clone, Debug, Default)]
pub struct Words {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Words {
    /// Copies words, of at most 4 GiB together.
    pub fn new<'a>(words: impl Iterator<Item = &'a [u8]>) -> Words {
        let mut all = Words::default();
        for word in words {
            all.spans.push(Span { start: all.bytes.len() as u32, len: word.len() as u32 });
            all.bytes.extend_from_slice(word);
        }
        all
    }

    /// The words as arguments.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }
}

/// The arguments of one request, the command's name first. Two references: pass it by value.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// The arguments that `spans` mark in `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    /// The number of arguments, the command's name included.
    #[inline]
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there are no arguments, not even a name.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, if there is one.
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).and_then(|&span| slice(self.bytes, span))
    }

    /// Argument `index` of a request whose arity is already checked. Beyond the last: a bug of ours, found in debug
    /// builds; an empty argument otherwise.
    #[inline]
    pub fn at(self, index: usize) -> &'a [u8] {
        let found = self.get(index);
        debug_assert!(found.is_some(), "argument {index} of {}", self.len());
        found.unwrap_or_default()
    }

    /// The arguments from `from` on; none if there are fewer.
    #[inline]
    pub fn tail(self, from: usize) -> Self {
        Self { bytes: self.bytes, spans: self.spans.get(from..).unwrap_or_default() }
    }

    /// The first `count` arguments; all if there are fewer.
    #[inline]
    pub fn head(self, count: usize) -> Self {
        Self { bytes: self.bytes, spans: self.spans.get(..count).unwrap_or(self.spans) }
    }

    /// The arguments whose index `keep` accepts; `spans` is their storage.
    pub fn select<'b>(self, spans: &'b mut Vec<Span>, keep: impl Fn(usize) -> bool) -> Args<'b>
    where
        'a: 'b,
    {
        spans.clear();
        spans.extend(self.spans.iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, span)| *span));
        Args { bytes: self.bytes, spans }
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone {
        self.spans.iter().map(move |&span| slice(self.bytes, span).unwrap_or_default())
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    /// As [`Args::at`]; borrows from this value, where `at` borrows from the buffer.
    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

#[inline]
fn slice(bytes: &[u8], span: Span) -> Option<&[u8]> {
    let start = span.start as usize;
    bytes.get(start..start.checked_add(span.len as usize)?)
}
