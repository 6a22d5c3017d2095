//! Groups, slots and sums as Python sees them: buffers of native numbers in, bytes of int64 out
//! or a buffer changed in place.

use std::cell::Cell;

use bytemuck::cast_slice;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::adding;
use crate::grouping::{self, Rows};
use crate::slots::Slots;

#[pyfunction]
pub fn group(
    py: Python<'_>,
    columns: Vec<PyBuffer<u32>>,
) -> PyResult<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)> {
    let count = columns.first().map_or(0, |column| column.item_count());
    let mut rows = Rows::new(count);
    for column in &columns {
        let column = column.to_vec(py)?;
        if column.len() != count {
            return Err(PyValueError::new_err("columns of different lengths"));
        }
        rows.add(&column);
    }
    let groups = rows.groups();
    Ok((PyBytes::new(py, cast_slice(&groups.of_row)), PyBytes::new(py, cast_slice(&groups.first))))
}

#[pyfunction]
pub fn greatest<'py>(
    py: Python<'py>,
    cell: PyBuffer<i64>,
    values: PyBuffer<f64>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let values = values.to_vec(py)?;
    let cells = places(cell.to_vec(py)?)?;
    if cells.len() != values.len() {
        return Err(PyValueError::new_err("columns of different lengths"));
    }
    let (rows, tied) = grouping::greatest(&cells, &values);
    Ok((PyBytes::new(py, cast_slice(&rows)), PyBytes::new(py, cast_slice(&tied))))
}

#[pyfunction]
pub fn observe<'py>(
    py: Python<'py>,
    groups: (PyBuffer<i64>, usize),
    values: PyBuffer<f64>,
    bounds: Vec<f64>,
    weights: Option<PyBuffer<f64>>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (group, values) = (places(groups.0.to_vec(py)?)?, values.to_vec(py)?);
    let weights = weights.map(|weights| weights.to_vec(py)).transpose()?;
    let lengths = [values.len(), weights.as_ref().map_or(values.len(), Vec::len)];
    if lengths != [group.len(); 2] {
        return Err(PyValueError::new_err("columns of different lengths"));
    }
    if group.iter().any(|&group| group >= groups.1) {
        return Err(PyValueError::new_err("a group that is not there"));
    }
    let (histogram, buckets) =
        grouping::observe(&group, groups.1, &values, &bounds, weights.as_deref());
    Ok((PyBytes::new(py, cast_slice(&histogram)), PyBytes::new(py, cast_slice(&buckets))))
}

#[pyfunction]
pub fn add_rows(
    py: Python<'_>,
    values: PyBuffer<f64>,
    place: PyBuffer<i64>,
    added: PyBuffer<f64>,
) -> PyResult<()> {
    let (&[_, width], &[rows, of_added]) = (values.shape(), added.shape()) else {
        return Err(PyValueError::new_err("no tables of rows"));
    };
    if width == 0 || of_added != width || rows != place.item_count() {
        return Err(PyValueError::new_err("rows of another width or number"));
    }
    if values.readonly() {
        return Err(PyBufferError::new_err("a table that may not be written to"));
    }
    let rows = cells(py, &added)?.chunks_exact(width).map(|row| row.iter().map(Cell::get));
    adding::add_rows(cells(py, &values)?, width, &place.to_vec(py)?, rows)
        .map_err(|beyond| PyIndexError::new_err(format!("place {beyond} is beyond the table")))
}

/// The numbers where they are, without a copy; only those of a buffer that is not read-only
/// may be set.
#[allow(unsafe_code)]
fn cells<'a>(_py: Python<'a>, buffer: &'a PyBuffer<f64>) -> PyResult<&'a [Cell<f64>]> {
    let numbers = buffer.as_slice_ptr();
    let numbers = numbers.ok_or_else(|| PyBufferError::new_err("not contiguous"))?;
    // SAFETY: pyo3 has checked type and alignment, and the buffer keeps its memory for as long
    // as it is borrowed. Whoever else may write to that memory, through Python or through
    // another slice of cells, does so under the GIL, which is not let go of meanwhile.
    Ok(unsafe { &*(numbers.as_ptr() as *const [Cell<f64>]) })
}

fn places(numbers: Vec<i64>) -> PyResult<Vec<usize>> {
    let places: Result<Vec<usize>, _> = numbers.into_iter().map(usize::try_from).collect();
    places.map_err(|_| PyValueError::new_err("a number below 0"))
}

#[pyclass]
pub struct SlotIndex {
    slots: Slots,
}

#[pymethods]
impl SlotIndex {
    #[new]
    fn new(width: usize) -> PyResult<Self> {
        if width == 0 {
            return Err(PyValueError::new_err("rows without columns"));
        }
        Ok(SlotIndex { slots: Slots::new(width) })
    }

    fn __len__(&self) -> usize {
        self.slots.count()
    }

    #[getter]
    fn end(&self) -> usize {
        self.slots.end()
    }

    fn find<'py>(&self, py: Python<'py>, rows: PyBuffer<u32>) -> PyResult<Bound<'py, PyBytes>> {
        let numbers = self.numbers(py, &rows)?;
        let found = numbers.chunks_exact(self.slots.width()).map(|row| self.slots.find(row));
        let found: Vec<i64> = found.map(|slot| slot.map_or(-1, i64::from)).collect();
        Ok(PyBytes::new(py, cast_slice(&found)))
    }

    fn make<'py>(&mut self, py: Python<'py>, rows: PyBuffer<u32>) -> PyResult<Bound<'py, PyBytes>> {
        let numbers = self.numbers(py, &rows)?;
        let rows = numbers.chunks_exact(self.slots.width());
        let made: Vec<i64> = rows.map(|row| i64::from(self.slots.make(row))).collect();
        Ok(PyBytes::new(py, cast_slice(&made)))
    }

    fn free(&mut self, py: Python<'_>, slots: PyBuffer<i64>) -> PyResult<()> {
        for slot in slots.to_vec(py)? {
            let is_free = u32::try_from(slot).is_ok_and(|slot| self.slots.free(slot));
            if !is_free {
                return Err(PyKeyError::new_err(slot));
            }
        }
        Ok(())
    }

    fn rename(&mut self, py: Python<'_>, table: PyBuffer<u32>) -> PyResult<()> {
        let numbers = self.numbers(py, &table)?;
        let width = self.slots.width();
        if numbers.len() < self.slots.end() * width {
            return Err(PyValueError::new_err("fewer rows than slots"));
        }
        self.slots.rename(|slot, row| {
            let start = slot as usize * width;
            row.copy_from_slice(&numbers[start..start + width]);
        });
        Ok(())
    }
}

impl SlotIndex {
    /// The numbers of whole rows, one row after the other.
    fn numbers(&self, py: Python<'_>, rows: &PyBuffer<u32>) -> PyResult<Vec<u32>> {
        if !rows.item_count().is_multiple_of(self.slots.width()) {
            return Err(PyValueError::new_err("rows of another width"));
        }
        rows.to_vec(py)
    }
}
