//! Groups of rows with equal columns, and the greatest rows of groups: what
//! `processors/grouping.py` does, without sorting.

use hashbrown::HashTable;

/// Which group each row is in, and the first row of each group, which orders the groups.
#[derive(Default, Debug, PartialEq)]
pub struct Groups {
    pub of_row: Vec<i64>,
    pub first: Vec<i64>,
}

/// Rows while their columns are packed into one key each.
pub struct Rows {
    keys: Vec<u64>,
    bits: u32,
}

impl Rows {
    pub fn new(count: usize) -> Self {
        Rows { keys: vec![0; count], bits: 0 }
    }

    /// Put one more column to the keys; it has a value for each row.
    pub fn add(&mut self, column: &[u32]) {
        debug_assert_eq!(column.len(), self.keys.len());
        let bits = u32::BITS - column.iter().fold(0, |all, value| all | value).leading_zeros();
        if self.bits + bits > u64::BITS {
            self.compress();
        }
        self.bits += bits;
        for (key, &value) in self.keys.iter_mut().zip(column) {
            *key = *key << bits | u64::from(value);
        }
    }

    pub fn groups(&self) -> Groups {
        let mut table: HashTable<u32> = HashTable::with_capacity(self.keys.len());
        let mut distinct: Vec<u64> = Vec::new();
        let mut groups = Groups { of_row: Vec::with_capacity(self.keys.len()), first: Vec::new() };
        for (row, &key) in self.keys.iter().enumerate() {
            let is_equal = |&group: &u32| distinct[group as usize] == key;
            let group = match table.find(hash(key), is_equal) {
                Some(&group) => group,
                None => {
                    let group = distinct.len() as u32;
                    distinct.push(key);
                    groups.first.push(row as i64);
                    table.insert_unique(hash(key), group, |&other| hash(distinct[other as usize]));
                    group
                }
            };
            groups.of_row.push(i64::from(group));
        }
        groups
    }

    /// Replace the keys by the numbers of their groups, which fit into 32 bits.
    fn compress(&mut self) {
        let groups = self.groups();
        self.bits = u64::BITS - (groups.first.len() as u64).leading_zeros();
        self.keys = groups.of_row.into_iter().map(|group| group as u64).collect();
    }
}

/// Folds the 128 bits of a product, so that every bit of the key counts at both ends.
fn hash(key: u64) -> u64 {
    let product = u128::from(key ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// The first row with the greatest value of each cell, ordered by cell, and all rows of the
/// cells that have several of them.
///
/// Rows whose value is NaN are left out. `cell` and `values` are of one length, and there are
/// less than 2^32 rows.
pub fn greatest(cell: &[usize], values: &[f64]) -> (Vec<i64>, Vec<i64>) {
    debug_assert_eq!(cell.len(), values.len());
    let cells = cell.iter().max().map_or(0, |most| most + 1);
    // The row of each cell from 1 on, in few bytes: most cells of a histogram have none.
    let mut best = vec![0_u32; cells];
    let mut equal = Vec::new();
    for (row, (&cell, &value)) in cell.iter().zip(values).enumerate() {
        match best[cell] {
            0 if value.is_nan() => {}
            0 => best[cell] = row as u32 + 1,
            other if value > values[other as usize - 1] => best[cell] = row as u32 + 1,
            other if value == values[other as usize - 1] => equal.push(row),
            _ => {}
        }
    }
    let mut again = Vec::new();
    for row in equal {
        let first = best[cell[row]] as usize - 1;
        if values[row] == values[first] {
            again.extend([(cell[row], first as i64), (cell[row], row as i64)]);
        }
    }
    again.sort_unstable();
    again.dedup();
    let rows = best.into_iter().filter(|&row| row > 0).map(|row| i64::from(row) - 1).collect();
    (rows, again.into_iter().map(|(_, row)| row).collect())
}

/// The histogram of values in each of `groups` groups, and the bucket of each value.
///
/// A value belongs to the first bucket whose bound is not below it; a row of the histogram
/// is the weight in each bucket and then the sum. NaN do not count. `group` and `values`,
/// and `weights` if given, are of one length.
pub fn observe(
    group: &[usize],
    groups: usize,
    values: &[f64],
    bounds: &[f64],
    weights: Option<&[f64]>,
) -> (Vec<f64>, Vec<i32>) {
    let width = bounds.len() + 2;
    let mut histogram = vec![0.0; groups * width];
    let mut buckets = Vec::with_capacity(values.len());
    for (row, (&group, &value)) in group.iter().zip(values).enumerate() {
        let holds = |&bound: &f64| value <= bound;
        let bucket = bounds.len() - bounds.iter().filter(|bound| holds(bound)).count();
        buckets.push(bucket as i32);
        if !value.is_nan() {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            histogram[group * width + bucket] += weight;
            histogram[group * width + width - 1] += value * weight;
        }
    }
    (histogram, buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(columns: &[&[u32]]) -> Groups {
        let mut rows = Rows::new(columns[0].len());
        for column in columns {
            rows.add(column);
        }
        rows.groups()
    }

    #[test]
    fn groups_are_in_the_order_of_their_first_rows() {
        let groups = group(&[&[7, 3, 7, 7], &[1, 1, 1, 0]]);
        assert_eq!(groups, Groups { of_row: vec![0, 1, 0, 2], first: vec![0, 1, 3] });
    }

    #[test]
    fn columns_that_do_not_fit_one_key_are_told_apart() {
        let wide: &[u32] = &[u32::MAX, 0, u32::MAX, 1 << 31];
        let groups = group(&[wide, wide, &[0, 0, 1, 0], wide, &[5, 5, 5, 5]]);
        assert_eq!(groups.of_row, [0, 1, 2, 3]);
        assert_eq!(group(&[wide, wide, wide, wide]).of_row, [0, 1, 0, 2]);
    }

    #[test]
    fn the_greatest_rows_stand_in_the_order_of_their_cells() {
        let values = [1.0, 5.0, f64::NAN, 5.0, 2.0, f64::NAN];
        assert_eq!(greatest(&[3, 1, 1, 1, 3, 0], &values), (vec![1, 4], vec![1, 3]));
        assert_eq!(greatest(&[], &[]), (vec![], vec![]));
        let lowest = [f64::NEG_INFINITY, f64::NEG_INFINITY, 3.0, 3.0, 4.0, 3.0];
        assert_eq!(greatest(&[0, 0, 1, 1, 1, 1], &lowest), (vec![0, 4], vec![0, 1]));
    }

    #[test]
    fn values_count_in_the_first_bucket_that_holds_them() {
        let values = [0.5, 1.0, 1.5, 9.0, f64::NAN];
        let (histogram, buckets) = observe(&[0, 1, 1, 1, 0], 2, &values, &[1.0, 2.0], None);
        assert_eq!(histogram, [1.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 11.5]);
        assert_eq!(buckets, [0, 0, 1, 2, 2]);
        let weighted = observe(&[0], 1, &[0.5], &[1.0], Some(&[3.0]));
        assert_eq!(weighted.0, [3.0, 0.0, 1.5]);
    }

    #[test]
    fn no_rows_are_no_groups() {
        assert_eq!(group(&[&[], &[]]), Groups::default());
    }
}
