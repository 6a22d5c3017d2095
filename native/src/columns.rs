//! The tables of a batch while they grow. Same names as in `processors/batch.py`.

use crate::ids;
use crate::span::{LinkIds, Span};
use crate::wanted::Wanted;

/// A column of numbers for each wanted key.
pub type KeyColumns = Vec<Vec<u32>>;

#[derive(Default)]
pub struct Records {
    pub skip: Vec<u8>,
    pub spans: Vec<i64>,
}

#[derive(Default)]
pub struct Resources {
    pub record: Vec<u32>,
    pub attributes: KeyColumns,
    pub typed: KeyColumns,
    pub all_offsets: Vec<i64>,
    pub all_keys: Vec<u32>,
    pub all_values: Vec<u32>,
}

impl Resources {
    pub fn new(wanted: &Wanted) -> Self {
        let (attributes, typed) = key_columns(wanted);
        Resources { attributes, typed, all_offsets: vec![0], ..Resources::default() }
    }

    pub fn rows(&self) -> usize {
        self.all_offsets.len() - 1
    }

    /// Rows, or pairs if there are more, that fit into what is allocated.
    pub fn capacity(&self) -> usize {
        self.all_offsets.capacity().max(self.all_keys.capacity())
    }

    /// One more resource, with the attributes of that in `row`.
    pub fn repeat(&mut self, row: usize) {
        for column in self.attributes.iter_mut().chain(&mut self.typed) {
            column.push(column[row]);
        }
        let pairs = self.all_offsets[row] as usize..self.all_offsets[row + 1] as usize;
        self.all_keys.extend_from_within(pairs.clone());
        self.all_values.extend_from_within(pairs);
        self.end_row();
    }

    /// The attributes of one more resource are complete.
    pub fn end_row(&mut self) {
        self.all_offsets.push(self.all_keys.len() as i64);
    }

    /// The rows added since the last call are of this record.
    pub fn belong_to(&mut self, record: u32) {
        self.record.resize(self.rows(), record);
    }

    pub fn truncate(&mut self, rows: usize) {
        self.record.truncate(rows);
        for column in self.attributes.iter_mut().chain(&mut self.typed) {
            column.truncate(rows);
        }
        self.all_offsets.truncate(rows + 1);
        let pairs = self.all_offsets[rows] as usize;
        self.all_keys.truncate(pairs);
        self.all_values.truncate(pairs);
    }
}

fn key_columns(wanted: &Wanted) -> (KeyColumns, KeyColumns) {
    (vec![Vec::new(); wanted.plain()], vec![Vec::new(); wanted.typed().len()])
}

/// The links of each span, those of span `i` from `offsets[i]` to `offsets[i + 1]`.
#[derive(Default)]
pub struct Links {
    pub offsets: Vec<i64>,
    pub trace_id: Vec<[u64; 2]>,
    pub span_id: Vec<u64>,
}

impl Links {
    /// Add those of one more span.
    pub fn push(&mut self, links: &[LinkIds]) {
        for link in links {
            self.trace_id.push(ids::trace_id(link.trace_id));
            self.span_id.push(ids::span_id(link.span_id));
        }
        self.offsets.push(self.span_id.len() as i64);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        let links = self.offsets.last().map_or(0, |end| *end as usize);
        self.trace_id.truncate(links);
        self.span_id.truncate(links);
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
    pub typed: KeyColumns,
    /// Empty when not asked for, as are those that follow.
    pub status_message: Vec<u32>,
    pub trace_state: Vec<u32>,
    pub links: Links,
}

impl Spans {
    pub fn new(wanted: &Wanted) -> Self {
        let (attributes, typed) = key_columns(wanted);
        let links = Links { offsets: vec![0], ..Links::default() };
        Spans { attributes, typed, links, ..Spans::default() }
    }

    pub fn rows(&self) -> usize {
        self.name.len()
    }

    /// Rows, or links if there are more, that fit into what is allocated.
    pub fn capacity(&self) -> usize {
        self.name.capacity().max(self.links.span_id.capacity())
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
        for column in self.attributes.iter_mut().chain(&mut self.typed) {
            column.truncate(rows);
        }
        self.status_message.truncate(rows);
        self.trace_state.truncate(rows);
        self.links.truncate(rows);
    }
}
