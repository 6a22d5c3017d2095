//! The attribute keys that somebody asked for, each with a slot for its value.

/// A set of keys to look attributes up in, most of which are not in it.
pub struct Wanted {
    /// Bit `n`: some key has `n` bytes (the last bit: 63 or more).
    lengths: u64,
    buckets: Vec<Vec<(Box<[u8]>, usize)>>,
    plain: usize,
    typed: Vec<usize>,
    slots: usize,
}

const LONGEST: usize = 63;

impl Wanted {
    /// The slot of a key is its place in `keys`, and behind those for what is in `typed` alone.
    pub fn new<K: AsRef<[u8]>>(keys: &[K], typed: &[K]) -> Self {
        let buckets = vec![Vec::new(); LONGEST + 1];
        let mut wanted = Wanted { lengths: 0, buckets, plain: 0, typed: Vec::new(), slots: 0 };
        for key in keys {
            wanted.add(key.as_ref());
        }
        wanted.plain = wanted.slots;
        wanted.typed = typed.iter().map(|key| wanted.add(key.as_ref())).collect();
        wanted
    }

    fn add(&mut self, key: &[u8]) -> usize {
        if let Some(slot) = self.slot(key) {
            return slot;
        }
        let (bucket, slot) = (key.len().min(LONGEST), self.slots);
        self.lengths |= 1 << bucket;
        self.buckets[bucket].push((key.into(), slot));
        self.slots += 1;
        slot
    }

    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The first slots, so many of them, are those of the untyped keys.
    pub fn plain(&self) -> usize {
        self.plain
    }

    /// The slot of each typed key.
    pub fn typed(&self) -> &[usize] {
        &self.typed
    }

    #[inline]
    pub fn slot(&self, key: &[u8]) -> Option<usize> {
        let bucket = key.len().min(LONGEST);
        if self.lengths >> bucket & 1 == 0 {
            return None;
        }
        let found = self.buckets[bucket].iter().find(|(wanted, _)| **wanted == *key);
        found.map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_found() {
        let keys = [vec![b'a'], vec![], vec![b'k'; 63], vec![b'k'; 64], vec![b'b']];
        let wanted = Wanted::new(&keys, &[]);
        for (slot, key) in keys.iter().enumerate() {
            assert_eq!(wanted.slot(key), Some(slot));
        }
        assert_eq!(wanted.slot(b"c"), None);
        assert_eq!(wanted.slot(b"cc"), None);
        assert_eq!(wanted.slot(&[b'k'; 65]), None);
    }

    #[test]
    fn typed_keys_share_the_slots_of_untyped_ones() {
        let wanted = Wanted::new(&["a", "b"], &["c", "b"]);
        assert_eq!((wanted.plain(), wanted.slots()), (2, 3));
        assert_eq!(wanted.typed(), [2, 1]);
        assert_eq!(wanted.slot(b"c"), Some(2));
    }
}
