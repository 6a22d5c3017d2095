//! Rows added to rows of a table in place: what `consumer/registry/adding.py` does in NumPy.

use std::cell::Cell;

/// Add each of `added` to the row of `values` at its place; rows are `width` wide.
///
/// Places below 0 are left out. Returns a place that is beyond the table, if there is one,
/// and then adds nothing.
pub fn add_rows<Row: Iterator<Item = f64>>(
    values: &[Cell<f64>],
    width: usize,
    places: &[i64],
    added: impl Iterator<Item = Row>,
) -> Result<(), i64> {
    let room = (values.len() / width) as i64;
    if let Some(&beyond) = places.iter().find(|&&place| place >= room) {
        return Err(beyond);
    }
    for (&place, row) in places.iter().zip(added) {
        let Ok(place) = usize::try_from(place) else { continue };
        let sums = &values[place * width..(place + 1) * width];
        sums.iter().zip(row).for_each(|(sum, more)| sum.set(sum.get() + more));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(places: &[i64]) -> (Vec<f64>, Result<(), i64>) {
        let mut values = [1.0, 2.0, 3.0, 4.0];
        let rows = [[0.5, 1.5], [10.0, 20.0], [100.0, 200.0]];
        let cells = Cell::from_mut(&mut values[..]).as_slice_of_cells();
        let outcome = add_rows(cells, 2, places, rows.into_iter().map(IntoIterator::into_iter));
        (values.to_vec(), outcome)
    }

    #[test]
    fn rows_of_one_place_add_up_and_those_of_none_are_left_out() {
        assert_eq!(added(&[1, -1, 1]), (vec![1.0, 2.0, 103.5, 205.5], Ok(())));
    }

    #[test]
    fn nothing_is_added_when_a_place_is_beyond_the_table() {
        assert_eq!(added(&[0, 2, 1]), (vec![1.0, 2.0, 3.0, 4.0], Err(2)));
    }
}
