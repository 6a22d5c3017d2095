//! The attribute keys that somebody asked for, each with its column.

/// A set of keys to look attributes up in, most of which are not in it.
pub struct Wanted {
    /// Bit `n`: some key has `n` bytes (the last bit: 63 or more).
    lengths: u64,
    buckets: Vec<Vec<(Box<[u8]>, usize)>>,
    count: usize,
}

const LONGEST: usize = 63;

impl Wanted {
    /// The column of a key is its place in `keys`.
    pub fn new(keys: &[Vec<u8>]) -> Self {
        let mut wanted = Wanted { lengths: 0, buckets: vec![Vec::new(); 64], count: keys.len() };
        for (column, key) in keys.iter().enumerate() {
            let bucket = key.len().min(LONGEST);
            wanted.lengths |= 1 << bucket;
            wanted.buckets[bucket].push((key.as_slice().into(), column));
        }
        wanted
    }

    /// Number of columns.
    pub fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub fn column(&self, key: &[u8]) -> Option<usize> {
        let bucket = key.len().min(LONGEST);
        if self.lengths >> bucket & 1 == 0 {
            return None;
        }
        let found = self.buckets[bucket].iter().find(|(wanted, _)| **wanted == *key);
        found.map(|(_, column)| *column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_found() {
        let keys = [vec![b'a'], vec![], vec![b'k'; 63], vec![b'k'; 64], vec![b'b']];
        let wanted = Wanted::new(&keys);
        for (column, key) in keys.iter().enumerate() {
            assert_eq!(wanted.column(key), Some(column));
        }
        assert_eq!(wanted.column(b"c"), None);
        assert_eq!(wanted.column(b"cc"), None);
        assert_eq!(wanted.column(&[b'k'; 65]), None);
    }
}
