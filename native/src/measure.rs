//! Sizes of messages as they would be encoded again: no unknown fields, shortest varints.

use crate::schema::{Field, Kind, Message, Rule};
use crate::wire::{Reader, Result, delimited_size, varint_size};

/// The size of a message, all of which is checked on the way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub bytes: usize,
    /// A singular field or a oneof came twice somewhere inside: `bytes` is not to be
    /// trusted until the message went through [`crate::normalise`].
    pub merged: bool,
}

/// Measure `bytes`, of type `message`, inside which `depth` levels may still be entered.
pub fn measure(message: &Message, bytes: &[u8], depth: u32) -> Result<Measure> {
    let mut total = Measure { bytes: 0, merged: false };
    let mut seen = 0u32;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        let Some(field) = message.field(tag) else {
            reader.skip(tag, depth)?;
            continue;
        };
        let bit = match field.rule {
            Rule::Repeated => 0,
            Rule::Singular => 1 << field.number,
            Rule::Oneof => 1,
        };
        total.merged |= seen & bit != 0;
        seen |= bit;
        let part = measure_field(field, &mut reader, depth)?;
        total.bytes += part.bytes;
        total.merged |= part.merged;
    }
    Ok(total)
}

fn measure_field(field: &Field, reader: &mut Reader, depth: u32) -> Result<Measure> {
    let mut merged = false;
    let (payload, default) = match field.kind {
        Kind::Message(message) => {
            let bytes = reader.bytes()?;
            let inner = measure(message, bytes, Reader::new(bytes).enter(depth)?)?;
            merged = inner.merged;
            (delimited_size(inner.bytes), false)
        }
        Kind::Bytes => {
            let bytes = reader.bytes()?;
            (delimited_size(bytes.len()), bytes.is_empty())
        }
        Kind::Fixed32 => (4, reader.fixed32()? == 0),
        Kind::Fixed64 => (8, reader.fixed64()? == 0),
        kind => {
            let value = kind.truncate(reader.varint()?);
            (varint_size(value), value == 0)
        }
    };
    let absent = default && field.rule == Rule::Singular;
    let tag = varint_size(u64::from(field.number) << 3);
    Ok(Measure { bytes: if absent { 0 } else { tag + payload }, merged })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ANY_VALUE, KEY_VALUE, SPAN};

    fn size(message: &Message, bytes: &[u8]) -> usize {
        let measured = measure(message, bytes, 100).unwrap();
        assert!(!measured.merged);
        measured.bytes
    }

    #[test]
    fn defaults_and_unknown_fields_have_no_size() {
        assert_eq!(size(&SPAN, &[0x50, 0x00, 0x2a, 0x00, 0xfa, 0x3f, 1, 7]), 0);
        assert_eq!(size(&SPAN, &[0x7a, 0x02, 0x18, 0x00]), 2);
    }

    #[test]
    fn members_of_a_oneof_always_have_a_size() {
        assert_eq!(size(&ANY_VALUE, &[0x10, 0x00]), 2);
        assert_eq!(size(&ANY_VALUE, &[0x0a, 0x00]), 2);
        assert_eq!(size(&KEY_VALUE, &[0x12, 0x00]), 2);
    }

    #[test]
    fn varints_are_measured_at_their_shortest() {
        assert_eq!(size(&SPAN, &[0x50, 0x81, 0x80, 0x00]), 2);
        assert_eq!(size(&SPAN, &[0x30, 0xff, 0xff, 0xff, 0xff, 0x0f]), 11);
        assert_eq!(size(&SPAN, &[0x50, 0xff, 0xff, 0xff, 0xff, 0x7f]), 6);
    }

    #[test]
    fn repetition_of_what_is_singular_is_noticed_at_any_depth() {
        let value = [0x0a, 0x01, b'a', 0x10, 0x01];
        assert!(measure(&ANY_VALUE, &value, 100).unwrap().merged);
        let pair = [0x12, 0x05, 0x0a, 0x01, b'a', 0x10, 0x01];
        assert!(measure(&KEY_VALUE, &pair, 100).unwrap().merged);
        assert!(measure(&SPAN, &[0x50, 0x01, 0x50, 0x01], 100).unwrap().merged);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = [0x2a, 0x02, 0x0a, 0x00];
        assert!(measure(&ANY_VALUE, &nested, 2).is_ok());
        assert_eq!(measure(&ANY_VALUE, &nested, 1).unwrap_err().what, "nested too deeply");
    }
}
