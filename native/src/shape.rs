//! The outer messages of `TracesData` alone: how many spans there are.

use crate::wire::{MAX_DEPTH, Reader, Result};

/// Spans that so many bytes may hold; see `most_spans` of `consumer/decode/interface.py`.
pub fn most_spans(bytes: usize) -> usize {
    1_000 + bytes / 16
}

/// Count the spans of a `TracesData`, none of which is read.
pub fn count_spans(bytes: &[u8]) -> Result<usize> {
    let mut count = 0;
    each(1, bytes, MAX_DEPTH, |resource_spans| {
        each(2, resource_spans, MAX_DEPTH - 1, |scope_spans| {
            each(2, scope_spans, MAX_DEPTH - 2, |_| {
                count += 1;
                Ok(())
            })
        })
    })?;
    Ok(count)
}

/// Visit field `number` and skip the others.
fn each<'a>(
    number: u32,
    bytes: &'a [u8],
    depth: u32,
    mut visit: impl FnMut(&'a [u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.tag()? {
            tag if tag == number << 3 | 2 => visit(reader.bytes()?)?,
            other => reader.skip(other, depth)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_all_scopes_are_counted_without_a_look_inside() {
        let scope = [0x12, 0x00, 0x0a, 0x00, 0x12, 0x01, 0xff];
        let resource = [&[0x12, 0x07][..], &scope, &[0x1a, 0x00], &[0x12, 0x07], &scope].concat();
        let traces = [&[0x0a, 20][..], &resource, &[0x12, 0x00]].concat();
        assert_eq!(count_spans(&traces), Ok(4));
        assert!(count_spans(&traces[..traces.len() - 1]).is_err());
    }

    #[test]
    fn a_span_has_sixteen_bytes_beyond_a_thousand_free_ones() {
        assert_eq!((most_spans(0), most_spans(15), most_spans(32)), (1_000, 1_000, 1_002));
    }
}
