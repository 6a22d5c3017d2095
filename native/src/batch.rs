//! A batch of records, walked from the outermost message to the spans.

use crate::columns::{KeyColumns, Records, Resources, Spans};
use crate::dictionary::{ABSENT, Dictionary};
use crate::faults::{Failure, fault, malformed};
use crate::measure::measure;
use crate::normalise::normalise;
use crate::schema::{ENTITY_REF, RESOURCE, SCOPE, SPAN};
use crate::shape::most_spans;
use crate::span::{self, Extras, Span};
use crate::value::{attribute, text, typed_text};
use crate::wanted::Wanted;
use crate::wire::{MAX_DEPTH, Reader, Result};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Rows of a table that stay allocated for the next batch: some 30 MB of spans.
const MOST_ROWS: usize = 1 << 18;

/// Bytes that stay allocated for the next batch, each of text and of scratch.
const MOST_BYTES: usize = 1 << 24;

/// Texts that keep their codes in the next batch. A service has some thousand.
const MOST_TEXTS: usize = 1 << 15;

/// What to read.
pub struct Projection {
    pub span_keys: Wanted,
    pub resource_keys: Wanted,
    pub all_resource_attributes: bool,
    pub status_message: bool,
    pub trace_state: bool,
    pub links: bool,
    /// Records are Tempo's `PushBytesRequest`.
    pub push_bytes: bool,
}

/// All tables of one batch. Its buffers serve the next one, and so do the codes of its texts.
pub struct Batch {
    projection: Projection,
    pub strings: Dictionary,
    pub records: Records,
    pub resources: Resources,
    pub spans: Spans,
    pub failures: Vec<Failure>,
    scratch: Vec<u8>,
    /// Rows of spans that may be there when the current `TracesData` has been read.
    most_spans: usize,
}

/// Where the tables end; what comes later can be cut off again.
#[derive(Clone, Copy)]
struct Mark {
    strings: usize,
    resources: usize,
    spans: usize,
}

/// Places for what is wanted while a resource or span is read.
struct Values<'a> {
    resource: Vec<Option<&'a [u8]>>,
    all: Vec<(&'a [u8], &'a [u8])>,
    span: Extras<'a>,
    /// The rows of resources that were read, by their bytes: most come again and again.
    known: HashMap<&'a [u8], usize, RandomState>,
}

impl Values<'_> {
    fn new(projection: &Projection) -> Self {
        Values {
            resource: vec![None; projection.resource_keys.slots()],
            all: Vec::new(),
            span: Extras::new(&projection.span_keys, projection.links),
            known: HashMap::default(),
        }
    }
}

impl Batch {
    pub fn new(projection: Projection) -> Self {
        Batch {
            strings: Dictionary::default(),
            records: Records::default(),
            resources: Resources::new(&projection.resource_keys),
            spans: Spans::new(&projection.span_keys),
            failures: Vec::new(),
            scratch: Vec::new(),
            most_spans: 0,
            projection,
        }
    }

    /// Replace what the batch holds by what is in `records`.
    pub fn read(&mut self, records: &[&[u8]]) {
        self.clear();
        let mut values = Values::new(&self.projection);
        for (index, record) in records.iter().enumerate() {
            let before = self.spans.rows();
            let skip = if self.projection.push_bytes {
                self.push_bytes(index, record, &mut values)
            } else {
                self.part(index, None, record, &mut values);
                false
            };
            self.records.skip.push(u8::from(skip));
            self.records.spans.push((self.spans.rows() - before) as i64);
        }
    }

    fn mark(&self) -> Mark {
        let (resources, spans) = (self.resources.rows(), self.spans.rows());
        Mark { strings: self.strings.count(), resources, spans }
    }

    fn truncate(&mut self, mark: Mark) {
        self.strings.truncate(mark.strings);
        self.resources.truncate(mark.resources);
        self.spans.truncate(mark.spans);
    }

    /// Empty all tables, and give back the memory of those that an odd batch blew up.
    fn clear(&mut self) {
        self.records = Records::default();
        self.failures.clear();
        self.resources.truncate(0);
        self.spans.truncate(0);
        if self.resources.capacity() > MOST_ROWS {
            self.resources = Resources::new(&self.projection.resource_keys);
        }
        if self.spans.capacity() > MOST_ROWS {
            self.spans = Spans::new(&self.projection.span_keys);
        }
        if self.strings.count() > MOST_TEXTS || self.strings.capacity() > MOST_BYTES {
            self.strings.clear();
        }
        if self.scratch.capacity() > MOST_BYTES {
            self.scratch = Vec::new();
        }
    }

    /// Read a `PushBytesRequest`; true when its sender wants no metrics of it.
    fn push_bytes<'a>(&mut self, record: usize, bytes: &'a [u8], values: &mut Values<'a>) -> bool {
        let (mark, failures) = (self.mark(), self.failures.len());
        self.push_parts(record, bytes, values).unwrap_or_else(|error| {
            self.truncate(mark);
            values.known.clear();
            self.failures.truncate(failures);
            let fault = malformed(bytes, error);
            self.failures.push(Failure { record, trace: None, size_bytes: bytes.len(), fault });
            false
        })
    }

    fn push_parts<'a>(
        &mut self,
        record: usize,
        bytes: &'a [u8],
        values: &mut Values<'a>,
    ) -> Result<bool> {
        let (mut trace, mut skip) = (0, false);
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.tag()? {
                0x12 => {
                    self.part(record, Some(trace), reader.bytes()?, values);
                    trace += 1;
                }
                0x28 => skip = reader.varint()? != 0,
                other => reader.skip(other, MAX_DEPTH)?,
            }
        }
        Ok(skip)
    }

    /// Read a `TracesData`: all of it, or nothing and a failure.
    fn part<'a>(
        &mut self,
        record: usize,
        trace: Option<usize>,
        bytes: &'a [u8],
        values: &mut Values<'a>,
    ) {
        let (mark, size_bytes) = (self.mark(), bytes.len());
        self.most_spans = mark.spans + most_spans(size_bytes);
        if let Err(error) = self.traces(record as u32, bytes, values) {
            self.truncate(mark);
            values.known.clear();
            let fault = fault(bytes, error);
            self.failures.push(Failure { record, trace, size_bytes, fault });
        }
    }

    fn traces<'a>(&mut self, record: u32, bytes: &'a [u8], values: &mut Values<'a>) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.tag()? {
                0x0a => {
                    let resource_spans = reader.bytes()?;
                    self.resource(resource_spans, values)?;
                    self.resources.belong_to(record);
                    self.scopes(resource_spans, values)?;
                    self.spans.belong_to(record, self.resources.rows() as u32 - 1);
                }
                other => reader.skip(other, MAX_DEPTH)?,
            }
        }
        Ok(())
    }

    /// Add the resource of these `ResourceSpans`, wherever it stands in them.
    fn resource<'a>(&mut self, bytes: &'a [u8], values: &mut Values<'a>) -> Result<()> {
        let (mut first, mut others): (Option<&[u8]>, Vec<&[u8]>) = (None, Vec::new());
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.tag()? {
                0x0a if first.is_none() => first = Some(reader.bytes()?),
                0x0a => others.push(reader.bytes()?),
                other => reader.skip(other, MAX_DEPTH - 1)?,
            }
        }
        if let Some(known) = first.filter(|_| others.is_empty())
            && let Some(&row) = values.known.get(known)
        {
            self.resources.repeat(row);
            return Ok(());
        }
        values.resource.fill(None);
        values.all.clear();
        let mut merged = false;
        for part in first.iter().chain(&others) {
            merged |= read_resource(part, &self.projection, values)?;
        }
        if !merged {
            if let Some(new) = first.filter(|_| others.is_empty()) {
                values.known.insert(new, self.resources.rows());
            }
            return self.push_resource(values);
        }
        let mut normal = Vec::new();
        let parts: Vec<&[u8]> = first.into_iter().chain(others).collect();
        normalise(&RESOURCE, &parts, &mut normal)?;
        let mut values = Values::new(&self.projection);
        read_resource(&normal, &self.projection, &mut values)?;
        self.push_resource(&values)
    }

    fn push_resource(&mut self, values: &Values) -> Result<()> {
        let (strings, scratch) = (&mut self.strings, &mut self.scratch);
        push_plain(&mut self.resources.attributes, &values.resource, strings, scratch)?;
        for (column, slot) in
            self.resources.typed.iter_mut().zip(self.projection.resource_keys.typed())
        {
            column.push(typed_code(values.resource[*slot], strings, scratch)?);
        }
        for (key, value) in &values.all {
            self.resources.all_keys.push(strings.code(key));
            self.resources.all_values.push(strings.code(text(value, scratch)?));
        }
        self.resources.end_row();
        Ok(())
    }

    fn scopes<'a>(&mut self, bytes: &'a [u8], values: &mut Values<'a>) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.tag()? {
                0x12 => self.scope(reader.bytes()?, values)?,
                other => reader.skip(other, MAX_DEPTH - 1)?,
            }
        }
        Ok(())
    }

    fn scope<'a>(&mut self, bytes: &'a [u8], values: &mut Values<'a>) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            match reader.tag()? {
                0x0a => drop(measure(&SCOPE, reader.bytes()?, MAX_DEPTH - 3)?),
                0x12 if self.spans.rows() == self.most_spans => {
                    return reader.malformed("too many spans");
                }
                0x12 => self.span(reader.bytes()?, values)?,
                other => reader.skip(other, MAX_DEPTH - 2)?,
            }
        }
        Ok(())
    }

    fn span<'a>(&mut self, bytes: &'a [u8], values: &mut Values<'a>) -> Result<()> {
        let span = span::read(bytes, &self.projection.span_keys, &mut values.span)?;
        if !span.measure.merged {
            return self.push_span(&span, &values.span);
        }
        let mut normal = Vec::new();
        normalise(&SPAN, &[bytes], &mut normal)?;
        let mut extras = Extras::new(&self.projection.span_keys, self.projection.links);
        let span = span::read(&normal, &self.projection.span_keys, &mut extras)?;
        self.push_span(&span, &extras)
    }

    #[inline]
    fn push_span(&mut self, span: &Span, extras: &Extras) -> Result<()> {
        let (strings, scratch) = (&mut self.strings, &mut self.scratch);
        self.spans.name.push(strings.code(span.name));
        push_plain(&mut self.spans.attributes, &extras.values, strings, scratch)?;
        for (column, slot) in self.spans.typed.iter_mut().zip(self.projection.span_keys.typed()) {
            column.push(typed_code(extras.values[*slot], strings, scratch)?);
        }
        if self.projection.status_message {
            self.spans.status_message.push(strings.code(span.status_message));
        }
        if self.projection.trace_state {
            self.spans.trace_state.push(strings.code(span.trace_state));
        }
        if let Some(links) = &extras.links {
            self.spans.links.push(links);
        }
        self.spans.push(span);
        Ok(())
    }
}

/// Add one occurrence of a resource to `values`; true when it has to be normalised.
fn read_resource<'a>(
    bytes: &'a [u8],
    projection: &Projection,
    values: &mut Values<'a>,
) -> Result<bool> {
    const DEPTH: u32 = MAX_DEPTH - 2;
    let mut merged = false;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.tag()? {
            0x0a => {
                let pair = attribute(reader.bytes()?, DEPTH - 1)?;
                merged |= pair.merged;
                if projection.all_resource_attributes {
                    values.all.push((pair.key, pair.value));
                }
                if let Some(slot) = projection.resource_keys.slot(pair.key)
                    && values.resource[slot].is_none()
                {
                    values.resource[slot] = Some(pair.value);
                }
            }
            0x1a => drop(measure(&ENTITY_REF, reader.bytes()?, DEPTH - 1)?),
            other => reader.skip(other, DEPTH)?,
        }
    }
    Ok(merged)
}

/// Add the text of the first values, one to each column.
#[inline]
fn push_plain(
    columns: &mut KeyColumns,
    values: &[Option<&[u8]>],
    strings: &mut Dictionary,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    for (column, value) in columns.iter_mut().zip(values) {
        column.push(match value {
            None => ABSENT,
            Some(value) => strings.code(text(value, scratch)?),
        });
    }
    Ok(())
}

fn typed_code(
    value: Option<&[u8]>,
    strings: &mut Dictionary,
    scratch: &mut Vec<u8>,
) -> Result<u32> {
    match value {
        None => Ok(ABSENT),
        Some(value) => Ok(strings.code(typed_text(value, scratch)?)),
    }
}
