//! The tables of a batch while they grow. Same names as in `processors/batch.py`.

use crate::ids;
use crate::span::Span;

/// A column of numbers for each wanted key.
pub type KeyColumns = Vec<Vec<u32>>;

#[derive(Default)]
pub struct Records {
    pub skip: Vec<u8>,
    pub spans: Vec<i64>,
}

#[derive(Default)]
pub struct Resources {
    pub attributes: KeyColumns,
    pub all_offsets: Vec<i64>,
    pub all_keys: Vec<u32>,
    pub all_values: Vec<u32>,
}

impl Resources {
    pub fn new(keys: usize) -> Self {
        let (attributes, all_offsets) = (vec![Vec::new(); keys], vec![0]);
        Resources { attributes, all_offsets, ..Resources::default() }
    }

    pub fn rows(&self) -> usize {
        self.all_offsets.len() - 1
    }

    /// Rows, or pairs if there are more, that fit into what is allocated.
    pub fn capacity(&self) -> usize {
        self.all_offsets.capacity().max(self.all_keys.capacity())
    }

    /// The attributes of one more resource are complete.
    pub fn end_row(&mut self) {
        self.all_offsets.push(self.all_keys.len() as i64);
    }

    pub fn truncate(&mut self, rows: usize) {
        self.attributes.iter_mut().for_each(|column| column.truncate(rows));
        self.all_offsets.truncate(rows + 1);
        let pairs = self.all_offsets[rows] as usize;
        self.all_keys.truncate(pairs);
        self.all_values.truncate(pairs);
    }
}

#[derive(Default)]
pub struct Spans {
    pub record: Vec<u32>,
    pub resource: Vec<u32>,
    pub name: Vec<u32>,
    pub kind: Vec<i32>,
    pub status: Vec<i32>,
    pub start_ns: Vec<u64>,
    pub end_ns: Vec<u64>,
    pub size_bytes: Vec<i64>,
    pub trace_id: Vec<[u64; 2]>,
    pub span_id: Vec<u64>,
    pub parent_id: Vec<u64>,
    pub is_root: Vec<u8>,
    pub attributes: KeyColumns,
    /// Empty when not asked for.
    pub status_message: Vec<u32>,
}

impl Spans {
    pub fn new(keys: usize) -> Self {
        Spans { attributes: vec![Vec::new(); keys], ..Spans::default() }
    }

    pub fn rows(&self) -> usize {
        self.name.len()
    }

    pub fn capacity(&self) -> usize {
        self.name.capacity()
    }

    /// Add the columns that need no dictionary and no parent.
    #[inline]
    pub fn push(&mut self, span: &Span) {
        self.kind.push(span.kind);
        self.status.push(span.status);
        self.start_ns.push(span.start_ns);
        self.end_ns.push(span.end_ns);
        self.size_bytes.push(span.measure.bytes as i64);
        self.trace_id.push(ids::trace_id(span.trace_id));
        self.span_id.push(ids::span_id(span.span_id));
        self.parent_id.push(ids::span_id(span.parent_id));
        self.is_root.push(u8::from(span.parent_id.is_empty()));
    }

    /// All rows added since the last call are of this resource of this record.
    pub fn belong_to(&mut self, record: u32, resource: u32) {
        self.record.resize(self.rows(), record);
        self.resource.resize(self.rows(), resource);
    }

    pub fn truncate(&mut self, rows: usize) {
        for column in [&mut self.record, &mut self.resource, &mut self.name] {
            column.truncate(rows);
        }
        self.kind.truncate(rows);
        self.status.truncate(rows);
        for column in [&mut self.start_ns, &mut self.end_ns] {
            column.truncate(rows);
        }
        self.size_bytes.truncate(rows);
        self.trace_id.truncate(rows);
        self.span_id.truncate(rows);
        self.parent_id.truncate(rows);
        self.is_root.truncate(rows);
        self.attributes.iter_mut().for_each(|column| column.truncate(rows));
        self.status_message.truncate(rows);
    }
}
