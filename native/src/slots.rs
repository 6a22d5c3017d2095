//! Numbers for rows: what `consumer/registry/slots.py` keeps, by hashing.

use hashbrown::HashTable;

pub type Slot = u32;

/// The rows that have a slot, and the slots that are free.
pub struct Slots {
    width: usize,
    table: HashTable<Slot>,
    /// Of each slot that was ever given, one row after the other.
    rows: Vec<u32>,
    free: Vec<Slot>,
}

impl Slots {
    /// For rows of `width` numbers, at least one.
    pub fn new(width: usize) -> Self {
        Slots { width, table: HashTable::new(), rows: Vec::new(), free: Vec::new() }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows that have a slot.
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// The first slot that was never given.
    pub fn end(&self) -> usize {
        self.rows.len() / self.width
    }

    pub fn find(&self, row: &[u32]) -> Option<Slot> {
        let rows = Rows { all: &self.rows, width: self.width };
        self.table.find(hash(row), |&slot| rows.get(slot) == row).copied()
    }

    /// The slot of `row`, a new one if it has none: the one that became free last, or the next.
    pub fn make(&mut self, row: &[u32]) -> Slot {
        if let Some(slot) = self.find(row) {
            return slot;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                let start = slot as usize * self.width;
                self.rows[start..start + self.width].copy_from_slice(row);
                slot
            }
            None => {
                self.rows.extend_from_slice(row);
                u32::try_from(self.end() - 1).expect("memory ends before slots do")
            }
        };
        self.insert(slot);
        slot
    }

    /// Free a slot; says whether it was in use.
    pub fn free(&mut self, slot: Slot) -> bool {
        if slot as usize >= self.end() {
            return false;
        }
        let rows = Rows { all: &self.rows, width: self.width };
        let Ok(entry) = self.table.find_entry(hash(rows.get(slot)), |&other| other == slot) else {
            return false;
        };
        entry.remove();
        self.free.push(slot);
        true
    }

    /// Let `rename` write the row of every slot that is in use anew; rows stay distinct.
    pub fn rename(&mut self, mut rename: impl FnMut(Slot, &mut [u32])) {
        let slots: Vec<Slot> = self.table.drain().collect();
        for slot in slots {
            let start = slot as usize * self.width;
            rename(slot, &mut self.rows[start..start + self.width]);
            self.insert(slot);
        }
    }

    fn insert(&mut self, slot: Slot) {
        let rows = Rows { all: &self.rows, width: self.width };
        self.table.insert_unique(hash(rows.get(slot)), slot, |&other| hash(rows.get(other)));
    }
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    all: &'a [u32],
    width: usize,
}

impl<'a> Rows<'a> {
    fn get(self, slot: Slot) -> &'a [u32] {
        let start = slot as usize * self.width;
        &self.all[start..start + self.width]
    }
}

/// Rows are codes that were given in the order of arrival: nobody chooses them.
fn hash(row: &[u32]) -> u64 {
    let (pairs, rest) = row.as_chunks();
    let hash = pairs.iter().fold(0x243f_6a88_85a3_08d3, |hash, &[low, high]| {
        fold(hash ^ (u64::from(high) << u32::BITS | u64::from(low)))
    });
    rest.iter().fold(hash, |hash, &value| fold(hash ^ u64::from(value)))
}

/// Both halves of a product of 128 bits.
fn fold(value: u64) -> u64 {
    let product = u128::from(value) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_share_a_slot() {
        let mut slots = Slots::new(2);
        assert_eq!((slots.make(&[1, 2]), slots.make(&[2, 1]), slots.make(&[1, 2])), (0, 1, 0));
        assert_eq!((slots.find(&[2, 1]), slots.find(&[2, 2])), (Some(1), None));
        assert_eq!((slots.count(), slots.end()), (2, 2));
    }

    #[test]
    fn the_slot_that_became_free_last_is_given_first() {
        let mut slots = Slots::new(1);
        for value in 0..4 {
            slots.make(&[value]);
        }
        assert!(slots.free(1) && slots.free(3));
        assert!(!slots.free(3) && !slots.free(4));
        assert_eq!(slots.find(&[3]), None);
        assert_eq!((slots.make(&[9]), slots.make(&[8]), slots.make(&[7])), (3, 1, 4));
    }

    #[test]
    fn renamed_rows_are_found_by_their_new_names() {
        let mut slots = Slots::new(1);
        for value in 0..1000 {
            slots.make(&[value]);
        }
        slots.free(500);
        slots.rename(|_, row| row[0] += 5000);
        assert_eq!(slots.find(&[5007]), Some(7));
        assert_eq!((slots.find(&[7]), slots.find(&[5500])), (None, None));
        assert_eq!(slots.count(), 999);
    }
}
