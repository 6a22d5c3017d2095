//! One span, read in a single pass.

use crate::measure::{Measure, measure};
use crate::schema::{EVENT, LINK, STATUS};
use crate::value::attribute;
use crate::wanted::Wanted;
use crate::wire::{Reader, Result, delimited_size, varint_size};

/// Levels that may still be entered inside a span: record, resource spans, scope spans, span.
const DEPTH: u32 = crate::wire::MAX_DEPTH - 3;

/// What is read of a span, besides its attributes.
#[derive(Default)]
pub struct Span<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub start_ns: u64,
    pub end_ns: u64,
    pub status: i32,
    pub status_message: &'a [u8],
    /// Canonical size, and whether the span has to be normalised and read again.
    pub measure: Measure,
}

/// The ids of a linked span.
pub struct LinkIds<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
}

/// What is read of a span because somebody asked for it.
pub struct Extras<'a> {
    /// The `AnyValue` of the first attribute of each wanted key, by slot.
    pub values: Vec<Option<&'a [u8]>>,
    /// None: not asked for.
    pub links: Option<Vec<LinkIds<'a>>>,
}

impl Extras<'_> {
    pub fn new(wanted: &Wanted, links: bool) -> Self {
        Extras { values: vec![None; wanted.slots()], links: links.then(Vec::new) }
    }
}

/// Read a span, and into `extras` what is wanted of it.
pub fn read<'a>(bytes: &'a [u8], wanted: &Wanted, extras: &mut Extras<'a>) -> Result<Span<'a>> {
    let values = extras.values.as_mut_slice();
    values.fill(None);
    if let Some(links) = &mut extras.links {
        links.clear();
    }
    let mut span = Span::default();
    let mut fields = Fields { reader: Reader::new(bytes), size: 0, seen: 0, merged: false };
    while !fields.reader.is_empty() {
        match fields.reader.tag()? {
            0x0a => span.trace_id = fields.bytes(1)?,
            0x12 => span.span_id = fields.bytes(2)?,
            0x1a => span.trace_state = fields.bytes(3)?,
            0x22 => span.parent_id = fields.bytes(4)?,
            0x2a => span.name = fields.bytes(5)?,
            0x30 => span.kind = fields.varint32(6, |low| low as i32 as u64)? as i32,
            0x39 => span.start_ns = fields.fixed64(7)?,
            0x41 => span.end_ns = fields.fixed64(8)?,
            0x4a => {
                let pair = attribute(fields.reader.bytes()?, DEPTH - 1)?;
                fields.message(pair.size, pair.merged);
                if let Some(slot) = wanted.slot(pair.key)
                    && values[slot].is_none()
                {
                    values[slot] = Some(pair.value);
                }
            }
            0x50 => drop(fields.varint32(10, u64::from)?),
            0x5a => {
                let event = measure(&EVENT, fields.reader.bytes()?, DEPTH - 1)?;
                fields.message(event.bytes, event.merged);
            }
            0x60 => drop(fields.varint32(12, u64::from)?),
            0x6a => {
                let bytes = fields.reader.bytes()?;
                let link = measure(&LINK, bytes, DEPTH - 1)?;
                fields.message(link.bytes, link.merged);
                if let Some(links) = &mut extras.links {
                    links.push(read_link(bytes)?);
                }
            }
            0x70 => drop(fields.varint32(14, u64::from)?),
            0x7a => {
                let bytes = fields.reader.bytes()?;
                let status = measure(&STATUS, bytes, DEPTH - 1)?;
                fields.once(15);
                fields.message(status.bytes, status.merged);
                (span.status, span.status_message) = read_status(bytes)?;
            }
            0x85 => fields.flags()?,
            other => fields.reader.skip(other, DEPTH)?,
        }
    }
    span.measure = Measure { bytes: fields.size, merged: fields.merged };
    Ok(span)
}

fn read_status(bytes: &[u8]) -> Result<(i32, &[u8])> {
    let (mut code, mut message): (i32, &[u8]) = (0, &[]);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.tag()? {
            0x12 => message = reader.bytes()?,
            0x18 => code = reader.varint()? as i32,
            other => reader.skip(other, DEPTH)?,
        }
    }
    Ok((code, message))
}

fn read_link(bytes: &[u8]) -> Result<LinkIds<'_>> {
    let mut link = LinkIds { trace_id: &[], span_id: &[] };
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.tag()? {
            0x0a => link.trace_id = reader.bytes()?,
            0x12 => link.span_id = reader.bytes()?,
            other => reader.skip(other, DEPTH)?,
        }
    }
    Ok(link)
}

/// Reads the fields of a span and adds up their canonical size.
struct Fields<'a> {
    reader: Reader<'a>,
    size: usize,
    /// Bit `n`: singular field `n` was there.
    seen: u32,
    merged: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    fn once(&mut self, number: u32) {
        self.merged |= self.seen >> number & 1 != 0;
        self.seen |= 1 << number;
    }

    /// Count a message that is there, of `size` bytes, with a tag of one byte.
    #[inline]
    fn message(&mut self, size: usize, merged: bool) {
        self.size += 1 + delimited_size(size);
        self.merged |= merged;
    }

    #[inline]
    fn bytes(&mut self, number: u32) -> Result<&'a [u8]> {
        self.once(number);
        let bytes = self.reader.bytes()?;
        if !bytes.is_empty() {
            self.size += 1 + delimited_size(bytes.len());
        }
        Ok(bytes)
    }

    /// The low half of a varint; `widen` tells what would be written.
    #[inline]
    fn varint32(&mut self, number: u32, widen: impl Fn(u32) -> u64) -> Result<u32> {
        self.once(number);
        let value = self.reader.varint()? as u32;
        if value != 0 {
            self.size += 1 + varint_size(widen(value));
        }
        Ok(value)
    }

    #[inline]
    fn fixed64(&mut self, number: u32) -> Result<u64> {
        self.once(number);
        let value = self.reader.fixed64()?;
        self.size += if value == 0 { 0 } else { 9 };
        Ok(value)
    }

    #[inline]
    fn flags(&mut self) -> Result<()> {
        self.once(16);
        self.size += if self.reader.fixed32()? == 0 { 0 } else { 6 };
        Ok(())
    }
}
