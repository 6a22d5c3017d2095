//! TimeSeries as Python sees them.

use bytemuck::cast_slice;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::series::{self, Exemplars, Framing, Id, Part, Samples, Series};

#[pyclass]
pub struct Fragments {
    fragments: series::Fragments,
}

#[pymethods]
impl Fragments {
    #[new]
    fn new() -> Self {
        Fragments { fragments: series::Fragments::default() }
    }

    fn missing<'py>(
        &mut self,
        py: Python<'py>,
        codes: PyBuffer<u32>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let missing = self.fragments.missing(&codes.to_vec(py)?);
        Ok(PyBytes::new(py, cast_slice(&missing)))
    }

    fn put(&mut self, codes: Vec<u32>, fragments: Vec<Bound<'_, PyBytes>>) -> PyResult<()> {
        if codes.len() != fragments.len() {
            return Err(PyValueError::new_err("not one fragment for each code"));
        }
        for (code, fragment) in codes.into_iter().zip(&fragments) {
            self.fragments.put(code, fragment.as_bytes());
        }
        Ok(())
    }
}

#[derive(FromPyObject)]
pub enum GivenPart<'py> {
    Same(Bound<'py, PyBytes>),
    Each(Bound<'py, Fragments>, PyBuffer<u32>),
}

/// Time in ms, the bits of each value, the times of zero samples and since when series count.
type GivenSamples = (i64, PyBuffer<u64>, Option<PyBuffer<i64>>, Option<PyBuffer<i64>>);

/// The tag of a series, that of its labels, and what ends it.
type GivenFraming<'py> = (u8, Option<u8>, Bound<'py, PyBytes>);

/// Columns of samples.
struct SampleColumns {
    time_ms: i64,
    bits: Vec<u64>,
    zero_ms: Option<Vec<i64>>,
    start_ms: Option<Vec<i64>>,
}

impl SampleColumns {
    fn new(py: Python<'_>, given: GivenSamples, series: usize) -> PyResult<Self> {
        let (time_ms, bits, zero_ms, start_ms) = given;
        let times = |column: Option<PyBuffer<i64>>| {
            column.map(|each| each.to_vec(py).and_then(|each| full(each, series))).transpose()
        };
        let (zero_ms, start_ms) = (times(zero_ms)?, times(start_ms)?);
        Ok(SampleColumns { time_ms, bits: full(bits.to_vec(py)?, series)?, zero_ms, start_ms })
    }

    fn samples(&self) -> Samples<'_> {
        Samples {
            time_ms: self.time_ms,
            bits: &self.bits,
            zero_ms: self.zero_ms.as_deref(),
            start_ms: self.start_ms.as_deref(),
        }
    }
}

/// The row of each, the bits of its value, its time in ms, its labels.
type GivenExemplars<'py> = (PyBuffer<i64>, PyBuffer<u64>, PyBuffer<i64>, Vec<GivenId<'py>>);

/// Other fields of each series, and exemplars.
type GivenRest<'py> = (Option<Vec<Bound<'py, PyBytes>>>, Option<GivenExemplars<'py>>);

/// What stands before the numbers, and the numbers of each exemplar.
type GivenId<'py> = (Bound<'py, PyBytes>, PyBuffer<u64>);

/// Columns of exemplars that belong to series there are.
struct ExemplarColumns<'py> {
    rows: Vec<i64>,
    bits: Vec<u64>,
    times_ms: Vec<i64>,
    ids: Vec<(Bound<'py, PyBytes>, Vec<u64>)>,
}

impl<'py> ExemplarColumns<'py> {
    fn new(py: Python<'py>, given: GivenExemplars<'py>, series: usize) -> PyResult<Self> {
        let (rows, bits, times_ms, ids) = given;
        let rows = rows.to_vec(py)?;
        let count = rows.len();
        let is_in_order = rows.is_sorted() && rows.first().is_none_or(|&first| first >= 0);
        if !is_in_order || rows.last().is_some_and(|&last| last >= series as i64) {
            return Err(PyValueError::new_err("exemplars are not in the order of their series"));
        }
        let mut columns = Vec::with_capacity(ids.len());
        for (head, numbers) in ids {
            let numbers = numbers.to_vec(py)?;
            if count > 0 && numbers.len() % count > 0 {
                return Err(PyValueError::new_err("not equally many numbers for each exemplar"));
            }
            columns.push((head, numbers));
        }
        let (bits, times_ms) = (full(bits.to_vec(py)?, count)?, full(times_ms.to_vec(py)?, count)?);
        Ok(ExemplarColumns { rows, bits, times_ms, ids: columns })
    }

    fn ids(&self) -> Vec<Id<'_>> {
        self.ids.iter().map(|(head, numbers)| Id { head: head.as_bytes(), numbers }).collect()
    }
}

#[pyfunction]
pub fn write_series<'py>(
    py: Python<'py>,
    rows: usize,
    parts: Vec<GivenPart<'py>>,
    samples: Option<GivenSamples>,
    rest: GivenRest<'py>,
    framing: GivenFraming<'py>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let mut columns = Vec::new();
    for part in &parts {
        columns.push(match part {
            GivenPart::Same(_) => None,
            GivenPart::Each(fragments, codes) => {
                Some((fragments.borrow(), full(codes.to_vec(py)?, rows)?))
            }
        });
    }
    let parts: Vec<Part<'_>> = parts
        .iter()
        .zip(&columns)
        .filter_map(|(part, column)| match (part, column) {
            (GivenPart::Same(bytes), _) => Some(Part::Same(bytes.as_bytes())),
            (_, Some((fragments, codes))) => Some(Part::Each(&fragments.fragments, codes)),
            _ => None,
        })
        .collect();
    let samples = samples.map(|given| SampleColumns::new(py, given, rows)).transpose()?;
    let samples = samples.as_ref().map(SampleColumns::samples);
    let (tails, exemplars) = rest;
    let tails = match &tails {
        Some(tails) => Some(full(tails.iter().map(|tail| tail.as_bytes()).collect(), rows)?),
        None => None,
    };
    let exemplars = exemplars.map(|given| ExemplarColumns::new(py, given, rows)).transpose()?;
    let ids = exemplars.as_ref().map_or_else(Vec::new, ExemplarColumns::ids);
    let exemplars = exemplars.as_ref().map(|columns| Exemplars {
        rows: &columns.rows,
        bits: &columns.bits,
        times_ms: &columns.times_ms,
        ids: &ids,
    });
    let framing = Framing { series: framing.0, labels: framing.1, end: framing.2.as_bytes() };
    let tails = tails.as_deref();
    let series = Series { rows, parts: &parts, samples, tails, exemplars, framing };
    let (content, ends) = series.write();
    Ok((PyBytes::new(py, &content), PyBytes::new(py, cast_slice(&ends))))
}

/// A column of one value for each row.
fn full<T>(column: Vec<T>, rows: usize) -> PyResult<Vec<T>> {
    if column.len() == rows {
        Ok(column)
    } else {
        Err(PyValueError::new_err("not one value for each row"))
    }
}
