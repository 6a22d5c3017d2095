//! The dictionary of one batch and of those after it: text to code, in the order of first use.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::BuildHasher;

/// Code of "not there".
pub const ABSENT: u32 = 0;
/// Code of the empty text.
pub const EMPTY: u32 = 1;

/// Texts one after the other, and a table of their codes.
pub struct Dictionary {
    codes: HashTable<(u64, u32)>,
    texts: Vec<u8>,
    /// Where the text of each code ends; those of [`ABSENT`] and [`EMPTY`] at 0.
    ends: Vec<usize>,
    hasher: RandomState,
    generation: u64,
}

impl Default for Dictionary {
    fn default() -> Self {
        let (codes, texts) = (HashTable::new(), Vec::new());
        let (ends, hasher) = (vec![0, 0], RandomState::default());
        Dictionary { codes, texts, ends, hasher, generation: 0 }
    }
}

impl Dictionary {
    /// The code of `text`, a new one if need be.
    #[inline]
    pub fn code(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return EMPTY;
        }
        let hash = self.hasher.hash_one(text);
        let (texts, ends) = (&self.texts, &self.ends);
        let same = |&(other, code): &(u64, u32)| other == hash && get(texts, ends, code) == text;
        match self.codes.entry(hash, same, |&(hash, _)| hash) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let code = u32::try_from(ends.len()).expect("memory ends before codes do");
                entry.insert((hash, code));
                self.texts.extend(text);
                self.ends.push(self.texts.len());
                code
            }
        }
    }

    /// Number of codes, [`ABSENT`] and [`EMPTY`] among them.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of text that fit into what is allocated.
    pub fn capacity(&self) -> usize {
        self.texts.capacity()
    }

    /// Forget all codes from `length` on.
    pub fn truncate(&mut self, length: usize) {
        for code in length..self.ends.len() {
            let hash = self.hasher.hash_one(get(&self.texts, &self.ends, code as u32));
            if let Ok(entry) = self.codes.find_entry(hash, |&(_, other)| other as usize == code) {
                entry.remove();
            }
        }
        self.ends.truncate(length);
        self.texts.truncate(self.ends[length - 1]);
    }

    /// Forget all codes, and give back the memory: another generation begins.
    pub fn clear(&mut self) {
        *self = Dictionary { generation: self.generation + 1, ..Dictionary::default() };
    }

    /// Codes of one generation mean the same in all batches.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The texts by code, from code `first` on.
    pub fn texts(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        (first..self.ends.len()).map(|code| get(&self.texts, &self.ends, code as u32))
    }
}

#[inline]
fn get<'a>(texts: &'a [u8], ends: &[usize], code: u32) -> &'a [u8] {
    let code = code as usize;
    if code < 2 { &[] } else { &texts[ends[code - 1]..ends[code]] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_given_in_the_order_of_first_use() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.code(b""), EMPTY);
        assert_eq!(dictionary.code(b"b"), 2);
        assert_eq!(dictionary.code(b"a"), 3);
        assert_eq!(dictionary.code(b"b"), 2);
        let texts: Vec<&[u8]> = vec![b"", b"", b"b", b"a"];
        assert_eq!(dictionary.texts(0).collect::<Vec<_>>(), texts);
        assert_eq!(dictionary.texts(3).collect::<Vec<_>>(), texts[3..]);
    }

    #[test]
    fn what_was_truncated_is_new_again() {
        let mut dictionary = Dictionary::default();
        for number in 0..1000 {
            dictionary.code(format!("{number}").as_bytes());
        }
        dictionary.truncate(500);
        assert_eq!(dictionary.code(b"497"), 499);
        assert_eq!(dictionary.code(b"999"), 500);
        assert_eq!(dictionary.code(b"498"), 501);
        let generation = dictionary.generation();
        dictionary.clear();
        assert_eq!(dictionary.code(b"497"), 2);
        assert_ne!(dictionary.generation(), generation);
    }
}
