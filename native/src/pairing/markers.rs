//! Halves that a filter left out, by what they would have paired with.

use super::Table;
use super::window::{Half, Number, Side};
use hashbrown::hash_map::Entry;

#[derive(Default)]
pub struct Markers {
    /// Side and key of a marker to its number.
    numbers: Table<(bool, u64), Number>,
    /// Of each tenant that has any.
    counts: Table<u32, usize>,
}

impl Markers {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.counts.is_empty()
    }

    /// Whether a half of `side` that has `key` was left out.
    #[inline]
    pub fn has(&self, side: Side, key: u64) -> bool {
        !self.numbers.is_empty() && self.numbers.contains_key(&(is_client(side), key))
    }

    /// Take a marker, unless its tenant has `most`; `Some` is the one in whose place it comes.
    pub fn put(&mut self, half: &Half, number: Number, most: usize) -> Result<Option<Number>, ()> {
        let count = self.counts.get(&half.tenant).copied().unwrap_or(0);
        match self.numbers.entry(place(half)) {
            Entry::Occupied(mut entry) => Ok(Some(entry.insert(number))),
            Entry::Vacant(_) if count >= most => Err(()),
            Entry::Vacant(entry) => {
                entry.insert(number);
                self.counts.insert(half.tenant, count + 1);
                Ok(None)
            }
        }
    }

    pub fn remove(&mut self, half: &Half) {
        self.numbers.remove(&place(half));
        if let Entry::Occupied(mut entry) = self.counts.entry(half.tenant) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// What a marker is found by.
fn place(half: &Half) -> (bool, u64) {
    (is_client(half.side), key(half))
}

/// The key that a half of the other side would have in common with a marker.
pub fn key(half: &Half) -> u64 {
    if is_client(half.side) { half.own } else { half.parent }
}

fn is_client(side: Side) -> bool {
    side == Side::FilteredClient
}
