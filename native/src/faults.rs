//! What cannot be decoded, and why.

use crate::shape::{count_spans, most_spans};
use crate::wire::Malformed;

/// A record, or one trace of a `PushBytesRequest`: nothing of it is in the batch.
pub struct Failure {
    pub record: usize,
    pub trace: Option<usize>,
    pub size_bytes: usize,
    pub fault: Fault,
}

/// Why it cannot be decoded.
pub enum Fault {
    Malformed { offset: usize, what: &'static str },
    TooManySpans,
}

/// An error that came up in `bytes`.
pub fn malformed(bytes: &[u8], error: Malformed) -> Fault {
    let offset = error.address.saturating_sub(bytes.as_ptr() as usize);
    Fault::Malformed { offset, what: error.what }
}

/// What is wrong with a `TracesData` that could not be read. What nests around its spans
/// counts first, then their number, then what is in them, as in the Python twin.
#[cold]
pub fn fault(bytes: &[u8], error: Malformed) -> Fault {
    match count_spans(bytes) {
        Err(outer) => malformed(bytes, outer),
        Ok(count) if count > most_spans(bytes.len()) => Fault::TooManySpans,
        Ok(_) => malformed(bytes, error),
    }
}
