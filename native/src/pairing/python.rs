//! The pairing as Python sees it: buffers of native numbers in, bytes of int64 out.

use bytemuck::cast_slice;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Limits;
use super::columns::{Halves, Pairs};
use super::window::Number;

type HalfColumns = (PyBuffer<u64>, PyBuffer<u64>, PyBuffer<u8>, PyBuffer<u32>);
type RecordColumns = (PyBuffer<i64>, PyBuffer<u64>, PyBuffer<i64>);
type Found = [Py<PyBytes>; 10];

#[pyclass]
pub struct Pairing {
    pairing: super::Pairing,
}

#[pymethods]
impl Pairing {
    #[new]
    #[pyo3(signature = (*, max_remembered))]
    fn new(max_remembered: Number) -> Self {
        Pairing { pairing: super::Pairing::new(max_remembered) }
    }

    fn push(
        &mut self,
        py: Python<'_>,
        first: Number,
        halves: HalfColumns,
        records: RecordColumns,
        limits: (i64, usize),
    ) -> PyResult<Found> {
        let (own, parent) = (halves.0.to_vec(py)?, halves.1.to_vec(py)?);
        let (side, tenant) = (halves.2.to_vec(py)?, halves.3.to_vec(py)?);
        let (starts, lane) = (records.0.to_vec(py)?, records.1.to_vec(py)?);
        let time_ms = records.2.to_vec(py)?;
        let halves = Halves {
            own: &own,
            parent: &parent,
            side: &side,
            tenant: &tenant,
            starts: &starts,
            lane: &lane,
            time_ms: &time_ms,
        };
        let limits = Limits { wait_ms: limits.0, max_pending: limits.1 };
        let pairing = &mut self.pairing;
        let pairs =
            py.detach(|| pairing.push(first, &halves, &limits)).map_err(PyValueError::new_err)?;
        Ok(found(py, &pairs))
    }

    fn advance(&mut self, py: Python<'_>, lane: u64, time_ms: i64) -> Found {
        found(py, &self.pairing.advance(lane, time_ms))
    }

    fn close(&mut self, py: Python<'_>, lane: u64) -> Py<PyBytes> {
        numbers(py, &self.pairing.close(lane))
    }

    fn pending(&self) -> usize {
        self.pairing.pending()
    }

    fn remembered(&self) -> Number {
        self.pairing.remembered()
    }

    fn oldest(&self) -> Option<Number> {
        self.pairing.oldest()
    }
}

fn found(py: Python<'_>, pairs: &Pairs) -> Found {
    [
        numbers(py, pairs.edges.as_flattened()),
        numbers(py, pairs.absorbed.as_flattened()),
        numbers(py, &pairs.settled),
        numbers(py, &pairs.closed),
        numbers(py, &pairs.repeated),
        numbers(py, &pairs.expired),
        numbers(py, &pairs.evicted),
        numbers(py, &pairs.excused),
        numbers(py, &pairs.unmarked),
        numbers(py, pairs.hints.as_flattened()),
    ]
}

fn numbers(py: Python<'_>, column: &[Number]) -> Py<PyBytes> {
    PyBytes::new(py, cast_slice(column)).unbind()
}
