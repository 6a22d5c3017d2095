//! The slow, right way: a message encoded again, after protobuf's rules for what comes twice.
//!
//! The last value of a scalar wins, the occurrences of a singular message are merged, and a
//! member of a oneof replaces the others. Needed for odd producers only; the result is read
//! like any other message, and its length is the canonical size.

use crate::schema::{Field, Kind, Message, Rule};
use crate::wire::{Reader, Result, write_varint};

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// All occurrences of one message.
    Parts(&'static Message, Vec<&'a [u8]>),
}

struct Entry<'a> {
    field: &'static Field,
    value: Value<'a>,
}

/// Append the canonical encoding of the message whose occurrences are `parts`.
///
/// They must have been measured before: that checked their bytes and their depth.
pub fn normalise(message: &'static Message, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
    for entry in merge(message, parts)? {
        write(&entry, out)?;
    }
    Ok(())
}

fn merge<'a>(message: &'static Message, parts: &[&'a [u8]]) -> Result<Vec<Entry<'a>>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut places: [Option<usize>; 17] = [None; 17];
    for part in parts {
        let mut reader = Reader::new(part);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let Some(field) = message.field(tag) else {
                reader.skip(tag, u32::MAX)?;
                continue;
            };
            let entry = Entry { field, value: read(field, &mut reader)? };
            let place = match field.rule {
                Rule::Repeated => {
                    entries.push(entry);
                    continue;
                }
                Rule::Singular => &mut places[field.number as usize],
                Rule::Oneof => &mut places[0],
            };
            match *place {
                Some(index) => replace(&mut entries[index], entry),
                None => {
                    *place = Some(entries.len());
                    entries.push(entry);
                }
            }
        }
    }
    Ok(entries)
}

fn read<'a>(field: &'static Field, reader: &mut Reader<'a>) -> Result<Value<'a>> {
    Ok(match field.kind {
        Kind::Message(message) => Value::Parts(message, vec![reader.bytes()?]),
        Kind::Bytes => Value::Bytes(reader.bytes()?),
        Kind::Fixed32 => Value::Number(u64::from(reader.fixed32()?)),
        Kind::Fixed64 => Value::Number(reader.fixed64()?),
        kind => Value::Number(kind.truncate(reader.varint()?)),
    })
}

fn replace<'a>(old: &mut Entry<'a>, new: Entry<'a>) {
    if old.field.number == new.field.number
        && let (Value::Parts(_, parts), Value::Parts(_, more)) = (&mut old.value, &new.value)
    {
        parts.extend(more);
    } else {
        *old = new;
    }
}

fn write(entry: &Entry, out: &mut Vec<u8>) -> Result<()> {
    let always = entry.field.rule != Rule::Singular;
    let tag = entry.field.number << 3 | entry.field.kind.wire_type();
    match &entry.value {
        Value::Number(0) | Value::Bytes([]) if !always => {}
        Value::Number(value) => {
            write_varint(u64::from(tag), out);
            match entry.field.kind {
                Kind::Fixed32 => out.extend((*value as u32).to_le_bytes()),
                Kind::Fixed64 => out.extend(value.to_le_bytes()),
                _ => write_varint(*value, out),
            }
        }
        Value::Bytes(bytes) => write_delimited(tag, bytes, out),
        Value::Parts(message, parts) => {
            let mut inner = Vec::new();
            normalise(message, parts, &mut inner)?;
            write_delimited(tag, &inner, out);
        }
    }
    Ok(())
}

fn write_delimited(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(u64::from(tag), out);
    write_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::measure;
    use crate::schema::{ANY_VALUE, RESOURCE, SPAN};

    fn normal(message: &'static Message, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        normalise(message, parts, &mut out).unwrap();
        let measured = measure(message, &out, 100).unwrap();
        assert_eq!((measured.bytes, measured.merged), (out.len(), false));
        out
    }

    #[test]
    fn the_last_scalar_wins_even_if_it_is_the_default() {
        assert_eq!(normal(&SPAN, &[&[0x50, 0x05, 0x50, 0x81, 0x00]]), [0x50, 0x01]);
        assert!(normal(&SPAN, &[&[0x50, 0x05], &[0x50, 0x00]]).is_empty());
    }

    #[test]
    fn occurrences_of_a_message_are_merged() {
        let twice = [0x7a, 0x02, 0x18, 0x02, 0x7a, 0x03, 0x12, 0x01, b'm'];
        let merged = [0x7a, 0x05, 0x18, 0x02, 0x12, 0x01, b'm'];
        assert_eq!(normal(&SPAN, &[&twice]), merged);
    }

    #[test]
    fn repeated_fields_keep_their_order_over_parts() {
        let parts: [&[u8]; 2] = [&[0x0a, 0x03, 0x0a, 0x01, b'a'], &[0x0a, 0x03, 0x0a, 0x01, b'b']];
        assert_eq!(normal(&RESOURCE, &parts), parts.concat());
    }

    #[test]
    fn another_member_of_a_oneof_drops_what_was_merged_so_far() {
        let array = [0x2a, 0x05, 0x0a, 0x03, 0x0a, 0x01, b'a'];
        let twice = [0x2a, 0x0a, 0x0a, 0x03, 0x0a, 0x01, b'a', 0x0a, 0x03, 0x0a, 0x01, b'a'];
        assert_eq!(normal(&ANY_VALUE, &[&array, &array]), twice);
        assert_eq!(normal(&ANY_VALUE, &[&array, &[0x10, 0x00], &array]), array);
        assert_eq!(normal(&ANY_VALUE, &[&array, &[0x10, 0x00]]), [0x10, 0x00]);
    }
}
