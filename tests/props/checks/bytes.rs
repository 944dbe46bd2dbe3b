//! Operations out of bytes.

/// Bytes that are used up one after the other.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> Option<usize> {
        self.next().map(|byte| usize::from(byte) % limit)
    }
}
