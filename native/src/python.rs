//! The module as Python sees it: plain values in and out.

use bytemuck::{NoUninit, cast_slice};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::batch::{Batch, Projection};
use crate::columns::KeyColumns;
use crate::dictionary::Dictionary;
use crate::faults::{self, Failure};
use crate::python_series::{Fragments, write_series};
use crate::python_tables::{SlotIndex, add_rows, greatest, group, observe};
use crate::wanted::Wanted;

#[pyclass]
struct Walker {
    batch: Batch,
    texts: Texts,
}

/// The texts of a dictionary as Python sees them; batches of one generation share the list.
struct Texts {
    strings: Py<PyList>,
    /// Whether each was UTF-8.
    valid: Vec<u8>,
    generation: u64,
}

impl Texts {
    fn new(py: Python<'_>, generation: u64) -> Self {
        Texts { strings: PyList::empty(py).unbind(), valid: Vec::new(), generation }
    }

    /// Take in what is new in `dictionary`.
    fn extend(&mut self, py: Python<'_>, dictionary: &Dictionary) -> PyResult<()> {
        if self.generation != dictionary.generation() {
            *self = Texts::new(py, dictionary.generation());
        }
        let strings = self.strings.bind(py);
        for text in dictionary.texts(self.valid.len()) {
            let decoded = std::str::from_utf8(text);
            match decoded {
                Ok(text) => strings.append(PyString::new(py, text))?,
                Err(_) => {
                    let escaped = ("utf-8", "surrogateescape");
                    strings.append(PyBytes::new(py, text).call_method1("decode", escaped)?)?;
                }
            }
            self.valid.push(u8::from(decoded.is_ok()));
        }
        Ok(())
    }
}

/// `processors.batch.Projection`, or what looks like it.
#[derive(FromPyObject)]
struct Wishes {
    resource_keys: Vec<String>,
    span_keys: Vec<String>,
    typed_resource_keys: Vec<String>,
    typed_span_keys: Vec<String>,
    all_resource_attributes: bool,
    status_message: bool,
    trace_state: bool,
    links: bool,
}

#[pymethods]
impl Walker {
    #[new]
    #[pyo3(signature = (projection, *, push_bytes))]
    fn new(py: Python<'_>, projection: Wishes, push_bytes: bool) -> Self {
        let wishes = projection;
        let batch = Batch::new(Projection {
            span_keys: Wanted::new(&wishes.span_keys, &wishes.typed_span_keys),
            resource_keys: Wanted::new(&wishes.resource_keys, &wishes.typed_resource_keys),
            all_resource_attributes: wishes.all_resource_attributes,
            status_message: wishes.status_message,
            trace_state: wishes.trace_state,
            links: wishes.links,
            push_bytes,
        });
        let texts = Texts::new(py, batch.strings.generation());
        Walker { batch, texts }
    }

    fn walk(&mut self, py: Python<'_>, values: Vec<Bound<'_, PyBytes>>) -> PyResult<Columns> {
        let records: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let batch = &mut self.batch;
        py.detach(|| batch.read(&records));
        self.texts.extend(py, &batch.strings)?;
        Columns::of(py, batch, &self.texts)
    }
}

/// Broken traces of one record that are explained; `MOST_TEXTS` of the Python side.
const MOST_DETAILS: usize = 10;

/// Size, byte offset, and what is wrong there.
type Detail = (usize, usize, Option<&'static str>);

#[pyclass(frozen, get_all)]
struct Fault {
    record: usize,
    traces: Py<PyBytes>,
    details: Vec<Detail>,
}

impl Fault {
    /// Of all failures of one record.
    fn of(py: Python<'_>, failures: &[Failure]) -> PyResult<Py<Self>> {
        let traces: Vec<u64> =
            failures.iter().filter_map(|failure| Some(failure.trace? as u64)).collect();
        let details = failures.iter().take(MOST_DETAILS).map(detail).collect();
        Py::new(py, Fault { record: failures[0].record, traces: bytes(py, &traces), details })
    }
}

fn detail(failure: &Failure) -> Detail {
    match failure.fault {
        faults::Fault::Malformed { offset, what } => (failure.size_bytes, offset, Some(what)),
        faults::Fault::TooManySpans => (failure.size_bytes, 0, None),
    }
}

#[pyclass(frozen, get_all)]
struct Columns {
    strings: Py<PyList>,
    valid: Py<PyBytes>,
    faults: Vec<Py<Fault>>,
    skip: Py<PyBytes>,
    spans: Py<PyBytes>,
    resource_record: Py<PyBytes>,
    resource_attributes: Vec<Py<PyBytes>>,
    resource_typed: Vec<Py<PyBytes>>,
    all_offsets: Py<PyBytes>,
    all_keys: Py<PyBytes>,
    all_values: Py<PyBytes>,
    record: Py<PyBytes>,
    resource: Py<PyBytes>,
    name: Py<PyBytes>,
    kind: Py<PyBytes>,
    status: Py<PyBytes>,
    start_ns: Py<PyBytes>,
    end_ns: Py<PyBytes>,
    size_bytes: Py<PyBytes>,
    trace_id: Py<PyBytes>,
    span_id: Py<PyBytes>,
    parent_id: Py<PyBytes>,
    is_root: Py<PyBytes>,
    attributes: Vec<Py<PyBytes>>,
    typed: Vec<Py<PyBytes>>,
    status_message: Py<PyBytes>,
    trace_state: Py<PyBytes>,
    link_offsets: Py<PyBytes>,
    link_trace_id: Py<PyBytes>,
    link_span_id: Py<PyBytes>,
}

impl Columns {
    fn of(py: Python<'_>, batch: &Batch, texts: &Texts) -> PyResult<Self> {
        let (records, resources, spans) = (&batch.records, &batch.resources, &batch.spans);
        let of_records = batch.failures.chunk_by(|one, next| one.record == next.record);
        Ok(Columns {
            strings: texts.strings.clone_ref(py),
            valid: bytes(py, &texts.valid),
            faults: of_records.map(|failures| Fault::of(py, failures)).collect::<PyResult<_>>()?,
            skip: bytes(py, &records.skip),
            spans: bytes(py, &records.spans),
            resource_record: bytes(py, &resources.record),
            resource_attributes: columns(py, &resources.attributes),
            resource_typed: columns(py, &resources.typed),
            all_offsets: bytes(py, &resources.all_offsets),
            all_keys: bytes(py, &resources.all_keys),
            all_values: bytes(py, &resources.all_values),
            record: bytes(py, &spans.record),
            resource: bytes(py, &spans.resource),
            name: bytes(py, &spans.name),
            kind: bytes(py, &spans.kind),
            status: bytes(py, &spans.status),
            start_ns: bytes(py, &spans.start_ns),
            end_ns: bytes(py, &spans.end_ns),
            size_bytes: bytes(py, &spans.size_bytes),
            trace_id: bytes(py, &spans.trace_id),
            span_id: bytes(py, &spans.span_id),
            parent_id: bytes(py, &spans.parent_id),
            is_root: bytes(py, &spans.is_root),
            attributes: columns(py, &spans.attributes),
            typed: columns(py, &spans.typed),
            status_message: bytes(py, &spans.status_message),
            trace_state: bytes(py, &spans.trace_state),
            link_offsets: bytes(py, &spans.links.offsets),
            link_trace_id: bytes(py, &spans.links.trace_id),
            link_span_id: bytes(py, &spans.links.span_id),
        })
    }
}

fn bytes<T: NoUninit>(py: Python<'_>, column: &[T]) -> Py<PyBytes> {
    PyBytes::new(py, cast_slice(column)).unbind()
}

fn columns(py: Python<'_>, columns: &KeyColumns) -> Vec<Py<PyBytes>> {
    columns.iter().map(|codes| bytes(py, codes)).collect()
}

#[pymodule]
fn spanmill_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(group, module)?)?;
    module.add_function(wrap_pyfunction!(greatest, module)?)?;
    module.add_function(wrap_pyfunction!(observe, module)?)?;
    module.add_function(wrap_pyfunction!(add_rows, module)?)?;
    module.add_class::<Walker>()?;
    module.add_class::<SlotIndex>()?;
    module.add_function(wrap_pyfunction!(write_series, module)?)?;
    module.add_class::<Fragments>()?;
    module.add_class::<crate::pairing::python::Pairing>()?;
    module.add_class::<Fault>()?;
    module.add_class::<Columns>()
}
