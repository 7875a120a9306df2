//! Entry: the cell of one item, 24 bytes, and the one allocation that holds its key and value.
//!
//! Owner: `Slab`. Core: the shard's own. Cost: 24 bytes, and the blob, which is exactly
//! `[timer: u32, if flagged] [key length: u32, if it is long] key value`.
//! Never: decides anything; it stores, replaces and frees. All `unsafe` of the shard is in this file.
//! Two fields of it are packed, so that the access clock has room, and is one word to write:
//!
//! ```text
//! blob  [63 .. 48: value length, low bits] [47 .. 0: address]
//! word  [63 .. 41: access clock] [40 .. 27: value length, high bits] [26: on probation] [25 .. 24: accesses]
//!       [23: timer word]
//!       [22 .. 21: type of the value] [20 .. 16: space] [15 .. 0: key length, or all ones: it is long]
//! ```
//!
//! Invariants, kept by the functions of `Entry` alone (its fields are private, the links apart):
//!   I1  vacant: `blob` is `None`, the word and the bits beside the address are 0.
//!   I2  live: `address()` is an allocation of the global allocator with `layout(blob_len())`, or dangling if that is 0.
//!       It has the allocation's provenance: `map_addr` alone has put other bits beside it, and takes them off.
//!   I3  live: all `blob_len()` bytes are initialised: timer word first if flagged, then the key's length if it is
//!       long, then key, then value.
//!   I4  no two entries share an allocation, since `Entry` is neither `Copy` nor `Clone`.
#![expect(
    unsafe_code,
    reason = "key and value share one exact allocation behind a thin pointer, which no safe type can express"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;
use std::slice;

use super::account::{allocated_bytes, item_bytes};
use crate::limits::{
    ACCESS_CLOCK_BITS, ADDRESS_BITS, FREQUENCY_BITS, FREQUENCY_MAX, ITEM_ENTRY_BYTES, KEY_BYTES_MAX,
    KEY_INLINE_LENGTH_BITS, SPACES, VALUE_BYTES_MAX, VALUE_TYPES_MAX,
};

/// The position of an entry in its slab. Stays the same for as long as the key is present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntryIndex(pub(super) u32);

impl EntryIndex {
    /// No entry: the end of a list.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Whether this names an entry at all.
    #[inline]
    pub(super) fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// The position of a node in the wheel: what an item's timer word holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimerIndex(pub(super) u32);

impl TimerIndex {
    /// No node: no TTL, or the end of a list.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Whether this names a node at all.
    #[inline]
    pub(super) fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// The number of a database, as clients name it.
pub type Database = u8;

/// The label of an item: the type of its value, and its space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label {
    /// The type of the value.
    pub(super) value_type: ValueType,
    /// The number of the space of keys that the item is in, as `databases` has it.
    pub(super) space: u8,
}

/// The type of a value, by its number in an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum ValueType {
    /// A string of bytes.
    String = 0,
}

impl Label {
    /// A string of space 0.
    pub(super) const STRING: Self = Self { value_type: ValueType::String, space: 0 };

    /// The label as the bits of an entry's word.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        debug_assert!(u32::from(self.space) < SPACES, "the space has 5 bits");
        u64::from(self.value_type as u8) << TYPE_SHIFT | u64::from(self.space) << SPACE_SHIFT
    }
}

const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;
/// Bits of the value's length beside the address; the others are in the word.
const VALUE_LEN_LOW_BITS: u32 = usize::BITS - ADDRESS_BITS;
const VALUE_LEN_HIGH_BITS: u32 = 14;
const VALUE_LEN_HIGH_MASK: u64 = (1 << VALUE_LEN_HIGH_BITS) - 1;
const VALUE_LEN_HIGH_SHIFT: u32 = CLOCK_SHIFT - VALUE_LEN_HIGH_BITS;
/// The key's length as the word has it: itself, or this, which says that it stands in the blob.
const KEY_LEN_LONG: u64 = (1 << KEY_INLINE_LENGTH_BITS) - 1;
const SPACE_SHIFT: u32 = KEY_INLINE_LENGTH_BITS;
const TYPE_SHIFT: u32 = SPACE_SHIFT + SPACES.ilog2();
#[cfg(any(test, feature = "verify"))]
const LABEL_MASK: u64 = HAS_TIMER_WORD - 1 - KEY_LEN_LONG;
const HAS_TIMER_WORD: u64 = 1 << (TYPE_SHIFT + VALUE_TYPES_MAX.ilog2());
const FREQUENCY_SHIFT: u32 = HAS_TIMER_WORD.trailing_zeros() + 1;
const FREQUENCY_MASK: u64 = (FREQUENCY_MAX as u64) << FREQUENCY_SHIFT;
const ON_PROBATION: u64 = 1 << (FREQUENCY_SHIFT + FREQUENCY_BITS);
const CLOCK_SHIFT: u32 = u64::BITS - ACCESS_CLOCK_BITS;
const TIMER_WORD_BYTES: usize = size_of::<u32>();
const KEY_LEN_WORD_BYTES: usize = size_of::<u32>();

const _: () = assert!(size_of::<Entry>() as u64 == ITEM_ENTRY_BYTES);
const _: () = assert!(usize::BITS == u64::BITS, "addresses have bits to spare");
const _: () = assert!(SPACES.is_power_of_two() && VALUE_TYPES_MAX.is_power_of_two());
const _: () = assert!(ON_PROBATION < 1 << VALUE_LEN_HIGH_SHIFT, "the fields of the word do not overlap");
const _: () = assert!(
    VALUE_BYTES_MAX >> (VALUE_LEN_LOW_BITS + VALUE_LEN_HIGH_BITS) == 0,
    "the value's length has two parts of so many bits"
);
const _: () = assert!(KEY_BYTES_MAX <= u32::MAX as usize, "a long key's length has four bytes");

/// One place of the slab: vacant, or an item.
pub(super) struct Entry {
    /// The address, and the low bits of the value's length.
    blob: Option<NonNull<u8>>,
    /// Live: the neighbour towards the head of its queue. Vacant: unused.
    pub(super) prev: EntryIndex,
    /// Live: the neighbour towards the tail of its queue. Vacant: the next free entry.
    pub(super) next: EntryIndex,
    /// The key's length, the label, the flags, the count of accesses, the high bits of the value's length, and the
    /// clock.
    word: u64,
}

impl Entry {
    /// A vacant entry.
    pub(super) const fn vacant() -> Self {
        Self { blob: None, prev: EntryIndex::NONE, next: EntryIndex::NONE, word: 0 }
    }

    /// Stores an item in a vacant entry.
    #[inline]
    pub(super) fn fill(&mut self, label: Label, key: &[u8], value: &[u8], timer_word: bool) {
        assert!(self.blob.is_none(), "only a vacant entry is filled");
        assert!(key.len() <= KEY_BYTES_MAX, "the key's length fits its word");
        assert!(value.len() <= VALUE_BYTES_MAX, "the value's length fits its bits");
        let blob = new_blob(timer_word.then_some(TimerIndex::NONE), key, value);
        self.hold(blob, label.bits() | inline_len(key.len()), value.len(), timer_word);
    }

    /// Frees the item, if there is one. Its timer must have been cancelled.
    pub(super) fn vacate(&mut self) {
        let (address, blob_len) = (self.address(), self.blob_len());
        if self.blob.take().is_some() {
            self.word = 0;
            // SAFETY: 1. by I2 `address` came from the global allocator with `layout(blob_len)`, or is dangling
            // with length 0, as `free_blob` asks. 2. `take` left `None`, and by I4 no other entry has it, so it
            // is freed once. 3. `&mut self` proves that no slice made by `key` or `value` is alive.
            unsafe { free_blob(address, blob_len) };
        }
    }

    /// Replaces the value. In place if the size is equal; otherwise the old blob lives until the new one is
    /// complete. The timer word keeps what it says if it stays, and says "none" if it is new.
    #[inline]
    pub(super) fn replace_value(&mut self, value: &[u8], timer_word: bool) {
        assert!(value.len() <= VALUE_BYTES_MAX, "the value's length fits its bits");
        assert!(self.is_live(), "only a live entry's value is replaced");
        debug_assert!(timer_word || !self.timer().is_some(), "a timer needs its word");
        let old_len = self.blob_len();
        let value_at = self.value_at();
        let new_len = value_at + value.len();
        let same_shape = timer_word == self.has_timer_word();
        let same_class = same_shape && allocated_bytes(new_len) == allocated_bytes(old_len) && old_len > 0;
        let address = self.address();
        let target = if same_shape && new_len == old_len {
            address
        } else if same_class {
            // SAFETY: 1. by I2 `address` is an allocation of `layout(old_len)`, not dangling as `old_len` > 0.
            // 2. `new_len` > 0, since it is of the class of `old_len`; `layout` bounds it. 3. `&mut self`: no
            // slice of it is alive. 4. The old address is not used again, `self.blob` is set at once.
            let moved = unsafe { realloc(address, layout(old_len), new_len) };
            let blob = NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(layout(new_len)));
            assert!(blob.addr().get() <= ADDRESS_MASK, "the kernel gives no address of more bits");
            self.set_blob(blob, value.len());
            moved
        } else {
            let timer = timer_word.then(|| self.timer());
            let fresh = new_blob(timer, self.key(), value);
            let word = self.word;
            self.vacate();
            self.hold(fresh, word, value.len(), timer_word);
            return;
        };
        // SAFETY: `target` has `new_len` = `value_at + value.len()` bytes, so the offset stays inside it.
        let value_target = unsafe { target.add(value_at) };
        // SAFETY: 1. from there `value.len()` bytes are inside the allocation. 2. `value` cannot overlap it:
        // a shared slice of our blob cannot live beside `&mut self`. The prefix was kept by `realloc` (I3).
        unsafe { value_target.copy_from_nonoverlapping(value.as_ptr(), value.len()) };
    }

    /// Gives an item its timer word (saying "none"): one copy, bounded by `TIMER_WORD_ITEM_BYTES`.
    pub(super) fn add_timer_word(&mut self) {
        debug_assert!(self.is_live());
        debug_assert!(!self.has_timer_word());
        let fresh = new_blob(Some(TimerIndex::NONE), self.key(), self.value());
        let (word, value_len) = (self.word, self.value_len());
        self.vacate();
        self.hold(fresh, word, value_len, true);
    }

    /// Sets the access clock to a stamp of `idle`.
    #[inline]
    pub(super) fn set_accessed(&mut self, stamp: u32) {
        debug_assert!(stamp < 1 << ACCESS_CLOCK_BITS);
        self.word = self.word & ((1 << CLOCK_SHIFT) - 1) | u64::from(stamp) << CLOCK_SHIFT;
    }

    /// Counts an access, up to `FREQUENCY_MAX`, and sets the access clock.
    #[inline]
    pub(super) fn count_access(&mut self, stamp: u32) {
        self.set_accessed(stamp);
        if self.word & FREQUENCY_MASK != FREQUENCY_MASK {
            self.word += 1 << FREQUENCY_SHIFT;
        }
    }

    /// The count of accesses.
    #[inline]
    pub(super) fn frequency(&self) -> u8 {
        ((self.word & FREQUENCY_MASK) >> FREQUENCY_SHIFT) as u8
    }

    /// Sets the count of accesses.
    pub(super) fn set_frequency(&mut self, accesses: u8) {
        self.word = self.word & !FREQUENCY_MASK | (u64::from(accesses) << FREQUENCY_SHIFT) & FREQUENCY_MASK;
    }

    /// Whether the item is on probation.
    #[inline]
    pub(super) fn is_on_probation(&self) -> bool {
        self.word & ON_PROBATION != 0
    }

    /// Sets whether the item is on probation.
    #[inline]
    pub(super) fn set_probation(&mut self, is_on_probation: bool) {
        self.word = self.word & !ON_PROBATION | if is_on_probation { ON_PROBATION } else { 0 };
    }

    /// The access clock: the stamp set last; 0 if none was.
    #[inline]
    pub(super) fn accessed(&self) -> u32 {
        (self.word >> CLOCK_SHIFT) as u32
    }

    /// Sets the timer word to the item's node in the wheel, or to `TimerIndex::NONE`. The item must have the word.
    pub(super) fn set_timer(&mut self, timer: TimerIndex) {
        assert!(self.has_timer_word(), "a timer needs its word");
        let word = timer.0.to_ne_bytes();
        // SAFETY: by I2 and the flag the blob starts with 4 bytes of timer word; `&mut self`: nothing reads it.
        unsafe { self.address().copy_from_nonoverlapping(word.as_ptr(), word.len()) };
    }

    /// Whether the entry holds an item.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.blob.is_some()
    }

    /// Whether the entry holds an item of this key. Compares lengths, which are in the entry, before it loads the blob.
    #[inline]
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        let len = key.len() as u64;
        if len < KEY_LEN_LONG {
            return self.word & KEY_LEN_LONG == len && self.part(self.timer_len(), key.len()) == key;
        }
        self.word & KEY_LEN_LONG == KEY_LEN_LONG && self.key() == key
    }

    /// The item's key; empty if vacant.
    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        match self.word & KEY_LEN_LONG {
            KEY_LEN_LONG => self.long_key(),
            len => self.part(self.timer_len(), len as usize),
        }
    }

    /// The item's value; empty if vacant.
    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        self.part(self.value_at(), self.value_len())
    }

    /// The item's node in the wheel; `NONE` if it has no TTL.
    #[inline]
    pub(super) fn timer(&self) -> TimerIndex {
        if !self.has_timer_word() {
            return TimerIndex::NONE;
        }
        let word = self.part(0, TIMER_WORD_BYTES);
        TimerIndex(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
    }

    /// The first and the last byte of the blob, mixed: loading them brings a small item into the cache.
    #[inline]
    pub(super) fn edges(&self) -> u8 {
        let blob = self.part(0, self.blob_len());
        blob.first().copied().unwrap_or(0) ^ blob.last().copied().unwrap_or(0)
    }

    /// Whether the blob starts with a timer word.
    #[inline]
    pub(super) fn has_timer_word(&self) -> bool {
        self.word & HAS_TIMER_WORD != 0
    }

    /// Bytes of the value.
    #[inline]
    pub(super) fn value_len(&self) -> usize {
        let low = self.blob.map_or(0, |blob| blob.addr().get() >> ADDRESS_BITS);
        let high = self.word >> VALUE_LEN_HIGH_SHIFT & VALUE_LEN_HIGH_MASK;
        (high as usize) << VALUE_LEN_LOW_BITS | low
    }

    /// Bytes of the allocation; 0 if vacant.
    #[inline]
    pub(super) fn blob_len(&self) -> usize {
        self.value_at() + self.value_len()
    }

    /// What the account charges for the item.
    #[inline]
    pub(super) fn cost(&self) -> u64 {
        item_bytes(self.blob_len(), self.timer().is_some())
    }

    /// The number of the space of keys that the item is in.
    #[inline]
    pub(super) fn space(&self) -> u8 {
        (self.word >> SPACE_SHIFT) as u8 & (SPACES - 1) as u8
    }

    /// The type of the value and the space, as [`Label::bits`] has them.
    #[cfg(any(test, feature = "verify"))]
    pub(super) fn label(&self) -> u64 {
        self.word & LABEL_MASK
    }

    /// A key whose length is too long for the word.
    #[cold]
    fn long_key(&self) -> &[u8] {
        self.part(self.timer_len() + KEY_LEN_WORD_BYTES, self.long_key_len())
    }

    /// The length of a key that is too long for the word.
    #[cold]
    fn long_key_len(&self) -> usize {
        let word = self.raw(self.timer_len(), KEY_LEN_WORD_BYTES);
        u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) as usize
    }

    #[inline]
    fn timer_len(&self) -> usize {
        if self.has_timer_word() { TIMER_WORD_BYTES } else { 0 }
    }

    #[inline]
    fn value_at(&self) -> usize {
        self.timer_len()
            + match self.word & KEY_LEN_LONG {
                KEY_LEN_LONG => KEY_LEN_WORD_BYTES + self.long_key_len(),
                len => len as usize,
            }
    }

    /// Where the blob begins; dangling if it has no bytes, or if there is none.
    #[inline]
    fn address(&self) -> *mut u8 {
        self.blob.unwrap_or(NonNull::dangling()).as_ptr().map_addr(|address| address & ADDRESS_MASK)
    }

    /// Takes a blob into an entry that has none. Keeps all of `word` that the blob does not decide.
    fn hold(&mut self, blob: NonNull<u8>, word: u64, value_len: usize, timer_word: bool) {
        debug_assert!(!self.is_live());
        self.word = word & !HAS_TIMER_WORD | if timer_word { HAS_TIMER_WORD } else { 0 };
        self.set_blob(blob, value_len);
    }

    /// Sets the address of the blob and the length of its value.
    #[inline]
    fn set_blob(&mut self, blob: NonNull<u8>, value_len: usize) {
        debug_assert!(blob.addr().get() <= ADDRESS_MASK);
        self.blob = Some(blob.map_addr(|address| address | value_len << ADDRESS_BITS));
        let high = (value_len >> VALUE_LEN_LOW_BITS) as u64;
        self.word = self.word & !(VALUE_LEN_HIGH_MASK << VALUE_LEN_HIGH_SHIFT) | high << VALUE_LEN_HIGH_SHIFT;
    }

    /// Bytes `from .. from + len` of the blob.
    #[inline]
    fn part(&self, from: usize, len: usize) -> &[u8] {
        debug_assert!(from + len <= self.blob_len());
        self.raw(from, len)
    }

    /// As `part`, for what `blob_len` itself is made of.
    #[inline]
    fn raw(&self, from: usize, len: usize) -> &[u8] {
        // SAFETY: all callers ask for parts of `0..blob_len()` (the accessors above), which by I2 is inside the
        // allocation; of a vacant entry they ask for 0 bytes at 0 (I1), for which dangling is fine.
        let start = unsafe { self.address().add(from) };
        // SAFETY: 1. by I3 these bytes are initialised. 2. They are written and freed only through `&mut self`,
        // so not while the slice lives. 3. `len` is below `isize::MAX` by the limits asserted in `fill`.
        unsafe { slice::from_raw_parts(start, len) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.vacate();
    }
}

/// Bytes of the allocation for an item.
#[inline]
pub(super) fn blob_len(key_len: usize, value_len: usize, timer_word: bool) -> usize {
    let timer_len = if timer_word { TIMER_WORD_BYTES } else { 0 };
    timer_len + long_len_word(key_len) + key_len + value_len
}

/// Bytes in the blob that say the key's length.
#[inline]
fn long_len_word(key_len: usize) -> usize {
    if key_len as u64 >= KEY_LEN_LONG { KEY_LEN_WORD_BYTES } else { 0 }
}

/// What the word says of a key's length.
#[inline]
fn inline_len(key_len: usize) -> u64 {
    (key_len as u64).min(KEY_LEN_LONG)
}

#[inline]
fn layout(len: usize) -> Layout {
    match Layout::array::<u8>(len) {
        Ok(layout) => layout,
        Err(_) => unreachable!("key and value limits are far below isize::MAX"),
    }
}

/// A new, complete blob; dangling if it has no bytes.
fn new_blob(timer: Option<TimerIndex>, key: &[u8], value: &[u8]) -> NonNull<u8> {
    let len = blob_len(key.len(), value.len(), timer.is_some());
    if len == 0 {
        return NonNull::dangling();
    }
    // SAFETY: the layout's size is not 0.
    let address = unsafe { alloc(layout(len)) };
    let Some(blob) = NonNull::new(address) else {
        handle_alloc_error(layout(len));
    };
    assert!(blob.addr().get() <= ADDRESS_MASK, "the kernel gives no address of more bits");
    let mut at = 0;
    let mut copy = |part: &[u8]| {
        // SAFETY: `at` is the sum of the parts before, so at most `len`.
        let target = unsafe { blob.add(at) };
        // SAFETY: 1. `at + part.len() <= len`, the allocation's size, as `len` is the sum of the parts. 2. The
        // allocation is new, so no part overlaps it. Together the copies establish I3.
        unsafe { target.copy_from_nonoverlapping(NonNull::from(part).cast(), part.len()) };
        at += part.len();
    };
    if let Some(timer) = timer {
        copy(&timer.0.to_ne_bytes());
    }
    if long_len_word(key.len()) > 0 {
        copy(&(key.len() as u32).to_ne_bytes());
    }
    copy(key);
    copy(value);
    debug_assert_eq!(at, len);
    blob
}

/// Frees a blob.
///
/// # Safety
/// `blob` was allocated by the global allocator with `layout(len)` (or `len` is 0) and is not used again.
unsafe fn free_blob(blob: *mut u8, len: usize) {
    if len > 0 {
        // SAFETY: the caller's promise, and `len` is not 0.
        unsafe { dealloc(blob, layout(len)) };
    }
}
