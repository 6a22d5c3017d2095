//! TimeSeries of remote write 1.0 as bytes: what `consumer/remote_write/time_series.py` does.
//!
//! It joins what it is given, and knows the framing of a message and of a sample, no more.

use crate::wire::write_varint;

const TIME_SERIES: u8 = 0x0a;
const SAMPLE: u8 = 0x12;
const VALUE: u8 = 0x09;
const TIMESTAMP: u8 = 0x10;
/// Tag and length of the sample, tag and bits of the value.
const SAMPLE_WITHOUT_STAMP: usize = 3 + size_of::<u64>();

/// In place of the time of a zero sample: there is none.
pub const NO_ZERO: i64 = i64::MIN;

/// Bytes by code, one after the other.
#[derive(Default)]
pub struct Fragments {
    bytes: Vec<u8>,
    places: Vec<Option<(usize, usize)>>,
}

impl Fragments {
    /// The codes that were never asked for, each once; they are empty until they are put.
    pub fn missing(&mut self, codes: &[u32]) -> Vec<u32> {
        let mut missing = Vec::new();
        for &code in codes {
            let place = code as usize;
            if place >= self.places.len() {
                self.places.resize(place + 1, None);
            }
            if self.places[place].is_none() {
                self.places[place] = Some((0, 0));
                missing.push(code);
            }
        }
        missing
    }

    /// Set the bytes of a code.
    pub fn put(&mut self, code: u32, bytes: &[u8]) {
        let (place, start) = (code as usize, self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        if place >= self.places.len() {
            self.places.resize(place + 1, None);
        }
        self.places[place] = Some((start, self.bytes.len()));
    }

    /// The bytes of a code; none for one that was not put.
    pub fn get(&self, code: u32) -> &[u8] {
        match self.places.get(code as usize) {
            Some(&Some((start, end))) => &self.bytes[start..end],
            _ => &[],
        }
    }
}

/// A label of each series.
pub enum Part<'a> {
    Same(&'a [u8]),
    Each(&'a Fragments, &'a [u32]),
}

impl<'a> Part<'a> {
    fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Part::Same(bytes) => bytes,
            Part::Each(fragments, codes) => fragments.get(codes[row]),
        }
    }
}

/// A sample of each series at one time: the bits of its value, and perhaps a zero before it.
pub struct Samples<'a> {
    pub time_ms: i64,
    pub bits: &'a [u64],
    pub zero_ms: &'a [i64],
}

/// Series: labels, samples, and what else there is of each.
pub struct Series<'a> {
    pub rows: usize,
    pub parts: &'a [Part<'a>],
    pub samples: Option<Samples<'a>>,
    pub tails: Option<&'a [&'a [u8]]>,
}

impl Series<'_> {
    /// All series, one after the other, and where each ends.
    pub fn write(&self) -> (Vec<u8>, Vec<i64>) {
        let (mut out, mut ends) = (Vec::new(), Vec::with_capacity(self.rows));
        let stamp = self.samples.as_ref().map(|samples| stamp(samples.time_ms));
        for row in 0..self.rows {
            let labels: usize = self.parts.iter().map(|part| part.get(row).len()).sum();
            let zero = self.samples.as_ref().and_then(|samples| samples.zero(row));
            let tail = self.tails.map_or(&[][..], |tails| tails[row]);
            let stamps = zero.iter().chain(&stamp);
            let samples: usize = stamps.map(|stamp| SAMPLE_WITHOUT_STAMP + stamp.len()).sum();
            out.push(TIME_SERIES);
            write_varint((labels + samples + tail.len()) as u64, &mut out);
            for part in self.parts {
                out.extend_from_slice(part.get(row));
            }
            if let Some(zero) = zero {
                write_sample(0, &zero, &mut out);
            }
            if let (Some(samples), Some(stamp)) = (&self.samples, &stamp) {
                write_sample(samples.bits[row], stamp, &mut out);
            }
            out.extend_from_slice(tail);
            ends.push(out.len() as i64);
        }
        (out, ends)
    }
}

impl Samples<'_> {
    fn zero(&self, row: usize) -> Option<Vec<u8>> {
        let zero_ms = self.zero_ms[row];
        (zero_ms != NO_ZERO).then(|| stamp(zero_ms))
    }
}

/// The field Sample.timestamp.
fn stamp(time_ms: i64) -> Vec<u8> {
    let mut out = vec![TIMESTAMP];
    write_varint(time_ms as u64, &mut out);
    out
}

fn write_sample(bits: u64, stamp: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[SAMPLE, (1 + size_of::<u64>() + stamp.len()) as u8, VALUE]);
    out.extend_from_slice(&bits.to_le_bytes());
    out.extend_from_slice(stamp);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_missing_once() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.missing(&[5, 2, 5]), [5, 2]);
        fragments.put(5, b"five");
        assert!(fragments.missing(&[2, 5]).is_empty());
        assert_eq!(
            (fragments.get(5), fragments.get(2), fragments.get(9)),
            (&b"five"[..], &b""[..], &b""[..])
        );
    }

    #[test]
    fn series_are_framed_and_end_where_it_says() {
        let mut fragments = Fragments::default();
        fragments.put(1, b"bb");
        let parts = [Part::Same(b"a"), Part::Each(&fragments, &[1, 0])];
        let samples = Samples { time_ms: 300, bits: &[7, 8], zero_ms: &[NO_ZERO, 1] };
        let tails: [&[u8]; 2] = [b"", b"t"];
        let series = Series { rows: 2, parts: &parts, samples: Some(samples), tails: Some(&tails) };
        let (out, ends) = series.write();
        let one = b"\x0a\x11abb\x12\x0c\x09\x07\0\0\0\0\0\0\0\x10\xac\x02";
        let two = b"\x0a\x1da\x12\x0b\x09\0\0\0\0\0\0\0\0\x10\x01\x12\x0c\x09\x08\0\0\0\0\0\0\0\x10\xac\x02t";
        assert_eq!(out, [&one[..], &two[..]].concat());
        assert_eq!(ends, [one.len() as i64, (one.len() + two.len()) as i64]);
    }
}
