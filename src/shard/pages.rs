//! Pages: an array that grows by whole pages and never moves what it holds. Slab and wheel are built on it.
//!
//! Owner: `Slab` and `Wheel`. Core: the shard's own. Cost: 8 bytes per page; an access is two loads.
//! Never: copies or moves a page; only the list of page addresses is ever reallocated.
//! Invariant: every page is full length, so a position is valid exactly when its page exists.

/// Pages of `N` values each (a power of two), addressed by one `u32` position.
pub(super) struct Pages<T, const N: usize> {
    pages: Vec<Box<[T; N]>>,
}

impl<T, const N: usize> Default for Pages<T, N> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T, const N: usize> Pages<T, N> {
    /// Adds one page, each value made by `make`.
    pub(super) fn grow(&mut self, make: impl Fn() -> T) {
        let page: Box<[T]> = std::iter::repeat_with(make).take(N).collect();
        let page = <Box<[T; N]>>::try_from(page).ok();
        // `take(N)` of an endless iterator yields N values.
        self.pages.push(page.expect("a page has N values"));
    }

    /// Takes the last page away, for its memory to be freed.
    pub(super) fn pop(&mut self) -> Option<Box<[T; N]>> {
        self.pages.pop()
    }

    /// The value at a position handed out before.
    #[inline]
    pub(super) fn at(&self, position: u32) -> &T {
        &self.pages[position as usize / N][position as usize % N]
    }

    /// The value at a position handed out before, to change it.
    #[inline]
    pub(super) fn at_mut(&mut self, position: u32) -> &mut T {
        &mut self.pages[position as usize / N][position as usize % N]
    }

    /// The number of positions.
    pub(super) fn capacity(&self) -> u64 {
        self.pages.len() as u64 * N as u64
    }

    /// Whether there is no page at all.
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}
