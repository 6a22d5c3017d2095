//! Attributes and the text of their values (tempo-behaviour.md 0.9).

use std::io::Write;

use crate::measure::measure;
use crate::schema::KEY_VALUE;
use crate::wire::{MAX_DEPTH, Reader, Result};

/// A `KeyValue`, checked.
pub struct Attribute<'a> {
    pub key: &'a [u8],
    /// The `AnyValue`; one that is not there is as good as an empty one.
    pub value: &'a [u8],
    /// Canonical size.
    pub size: usize,
    /// See [`crate::measure::Measure::merged`]; key and value are then not to be trusted.
    pub merged: bool,
}

/// Read a `KeyValue` inside which `depth` levels may still be entered.
#[inline]
pub fn attribute(bytes: &[u8], depth: u32) -> Result<Attribute<'_>> {
    debug_assert!((1..=MAX_DEPTH).contains(&depth));
    // What nearly every producer sends: key, then a scalar, each shorter than 128 bytes.
    if let [0x0a, length @ 1..0x80, rest @ ..] = bytes
        && let Some((key, [0x12, 0..0x80, value @ ..])) =
            rest.split_at_checked(usize::from(*length))
        && rest[key.len() + 1] as usize == value.len()
        && is_plain(value)
    {
        return Ok(Attribute { key, value, size: bytes.len(), merged: false });
    }
    any_attribute(bytes, depth)
}

/// Is this `AnyValue` one scalar in its canonical encoding?
#[inline]
fn is_plain(value: &[u8]) -> bool {
    match value {
        [0x0a, length @ 0..0x80, text @ ..] => text.len() == usize::from(*length),
        [0x10, 0..=1] | [0x18, 0..0x80] => true,
        [0x18, low @ .., 1..0x80] => low.len() < 9 && low.iter().all(|byte| byte & 0x80 != 0),
        [0x21, number @ ..] => number.len() == 8,
        _ => false,
    }
}

#[cold]
fn any_attribute(bytes: &[u8], depth: u32) -> Result<Attribute<'_>> {
    let measured = measure(&KEY_VALUE, bytes, depth)?;
    let (key, value) = key_and_value(bytes)?;
    Ok(Attribute { key, value, size: measured.bytes, merged: measured.merged })
}

fn key_and_value(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.tag()? {
            0x0a => key = reader.bytes()?,
            0x12 => value = reader.bytes()?,
            other => reader.skip(other, MAX_DEPTH)?,
        }
    }
    Ok((key, value))
}

/// The text of a checked `AnyValue`: part of it, or written to `scratch`.
#[inline]
pub fn text<'a>(value: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    if let [0x0a, length @ 0..0x80, text @ ..] = value
        && text.len() == usize::from(*length)
    {
        return Ok(text);
    }
    scratch.clear();
    write_text(value, scratch)?;
    Ok(scratch)
}

/// The text of a checked `AnyValue` after a letter for its type; see `TYPE_MARKS` of
/// `processors/batch.py`.
pub fn typed_text<'a>(value: &[u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    scratch.clear();
    scratch.push(type_mark(value)?);
    write_text(value, scratch)?;
    Ok(scratch)
}

fn type_mark(value: &[u8]) -> Result<u8> {
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        match reader.tag()? {
            0x0a => return Ok(b's'),
            0x10 => return Ok(b'b'),
            0x18 => return Ok(b'i'),
            0x21 => return Ok(b'd'),
            other => reader.skip(other, MAX_DEPTH)?,
        }
    }
    Ok(b'o')
}

fn write_text(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        match tag {
            0x0a => out.extend(reader.bytes()?),
            0x10 => write_bool(reader.varint()? != 0, out),
            0x18 => write_integer(reader.varint()? as i64, out),
            0x21 => write_double(f64::from_bits(reader.fixed64()?), out),
            0x2a => write_array(reader.bytes()?, out)?,
            0x32 => write_pairs(reader.bytes()?, out)?,
            _ => reader.skip(tag, MAX_DEPTH)?,
        }
    }
    Ok(())
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend(if value { "true" } else { "false" }.as_bytes());
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a Vec takes all bytes");
}

/// Shortest digits that round-trip, without exponent; special values as Go prints them.
fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend(b"NaN");
    } else if value.is_infinite() {
        out.extend(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        // Not std's: where two texts are equally short and near, Go and Python take the even one.
        write_fixed(ryu::Buffer::new().format_finite(value), out);
    }
}

/// Write `-1.5e-7` as `-0.00000015`, `2e3` as `2000` and `3.0` as `3`.
fn write_fixed(text: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().expect("ryu writes a number");
    let digits = mantissa.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    if mantissa.len() > digits.len() {
        out.push(b'-');
    }
    let point = whole.len() as i32 + exponent;
    let digits = whole.bytes().chain(fraction.bytes());
    let count = (whole.len() + fraction.len()) as i32;
    if point <= 0 {
        out.extend(b"0.");
        out.extend((point..0).map(|_| b'0'));
    }
    for (index, digit) in (0..).zip(digits) {
        if index == point && point > 0 {
            out.push(b'.');
        }
        out.push(digit);
    }
    out.extend((count..point).map(|_| b'0'));
}

fn write_array(array: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    for_each_element(array, |element| write_text(element, out))?;
    out.push(b']');
    Ok(())
}

fn write_pairs(list: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    for_each_element(list, |pair| {
        let (key, value) = key_and_value(pair)?;
        out.extend(key);
        out.push(b':');
        write_text(value, out)
    })?;
    out.push(b'}');
    Ok(())
}

fn for_each_element(list: &[u8], mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        match reader.tag()? {
            0x0a => visit(reader.bytes()?)?,
            other => reader.skip(other, MAX_DEPTH)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ANY_VALUE;

    fn text_of(value: &[u8]) -> String {
        measure(&ANY_VALUE, value, MAX_DEPTH).unwrap();
        String::from_utf8(text(value, &mut Vec::new()).unwrap().to_vec()).unwrap()
    }

    fn double(value: f64) -> String {
        text_of(&[&[0x21][..], &value.to_le_bytes()].concat())
    }

    #[test]
    fn scalars_have_go_s_text() {
        assert_eq!(text_of(b"\x0a\x02ab"), "ab");
        assert_eq!(text_of(&[0x10, 0x01]), "true");
        assert_eq!(text_of(&[0x18, 0x07]), "7");
        assert_eq!(text_of(&[0x18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), "-1");
        assert_eq!(text_of(b"\x3a\x02ab"), "");
        assert_eq!(text_of(&[]), "");
    }

    #[test]
    fn types_have_letters() {
        let mut scratch = Vec::new();
        let mut typed =
            |value| String::from_utf8_lossy(typed_text(value, &mut scratch).unwrap()).to_string();
        assert_eq!(typed(b"\x0a\x02ab"), "sab");
        assert_eq!(typed(b"\x0a\x00"), "s");
        assert_eq!(typed(b"\x98\x06\x01\x18\x07"), "i7");
        assert_eq!(typed(b"\x10\x01"), "btrue");
        assert_eq!(typed(b"\x21\0\0\0\0\0\0\xf0\x3f"), "d1");
        assert_eq!(typed(b"\x2a\x04\x0a\x02\x18\x01"), "o[1]");
        assert_eq!(typed(b"\x3a\x02ab"), "o");
        assert_eq!(typed(b""), "o");
    }

    #[test]
    fn doubles_have_no_exponent() {
        assert_eq!(double(1e21), "1000000000000000000000");
        assert_eq!(double(1e-7), "0.0000001");
        assert_eq!(double(3.0), "3");
        assert_eq!(double(-12.5), "-12.5");
        assert_eq!(double(0.00125), "0.00125");
        assert_eq!(double(1.25e19), "12500000000000000000");
        assert_eq!(double(f64::MIN_POSITIVE * f64::EPSILON), format!("0.{}5", "0".repeat(323)));
        assert_eq!(double(0.0), "0");
        assert_eq!(double(-0.0), "-0");
        assert_eq!(double(f64::NAN), "NaN");
        assert_eq!(double(f64::INFINITY), "+Inf");
        assert_eq!(double(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn of_two_equally_short_texts_the_even_one_is_taken() {
        assert_eq!(double(5.0 / 2.0 + 2f64.powi(-17)), "2.5000076293945312");
    }

    #[test]
    fn lists_are_glued() {
        let array = b"\x2a\x09\x0a\x02\x18\x01\x0a\x03\x0a\x01x";
        assert_eq!(text_of(array), "[1x]");
        let pairs = b"\x32\x09\x0a\x07\x0a\x01k\x12\x02\x10\x00";
        assert_eq!(text_of(pairs), "{k:false}");
    }

    #[test]
    fn plain_attributes_are_read_like_any() {
        let samples: [&[u8]; 12] = [
            b"\x0a\x01k\x12\x03\x0a\x01v",
            b"\x0a\x01k\x12\x02\x0a\x00",
            b"\x0a\x01k\x12\x02\x10\x01",
            b"\x0a\x01k\x12\x02\x10\x02",
            b"\x0a\x01k\x12\x03\x18\x80\x01",
            b"\x0a\x01k\x12\x03\x18\x80\x00",
            b"\x0a\x01k\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\x01k\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03",
            b"\x0a\x01k\x12\x09\x21\0\0\0\0\0\0\0\0",
            b"\x0a\x01k\x12\x00",
            b"\x0a\x01k",
            b"\x0a\x00\x12\x00",
        ];
        for bytes in samples {
            let quick = attribute(bytes, 96).unwrap();
            let any = any_attribute(bytes, 96).unwrap();
            assert_eq!((quick.key, quick.value), (any.key, any.value), "{bytes:?}");
            assert_eq!((quick.size, quick.merged), (any.size, any.merged), "{bytes:?}");
        }
    }
}
