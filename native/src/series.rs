//! TimeSeries of remote write 1.0 and 2.0 as bytes: what `consumer/remote_write/time_series.py` does.
//!
//! It joins what it is given, and knows the framing of a message, of a sample and of an exemplar, no more.

use crate::wire::{varint_size, write_varint};

const SAMPLE: u8 = 0x12;
const VALUE: u8 = 0x09;
const TIMESTAMP: u8 = 0x10;
const START_TIMESTAMP: u8 = 0x18;
const EXEMPLAR: u8 = 0x1a;
const EXEMPLAR_VALUE: u8 = 0x11;
const EXEMPLAR_TIMESTAMP: u8 = 0x18;
/// What stands in a number's place: so many hexadecimal digits.
const DIGITS: usize = 2 * size_of::<u64>();

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

/// A sample of each series at one time: the bits of its value, perhaps a zero before it, and
/// perhaps since when it counts, 0 for where that is not told.
pub struct Samples<'a> {
    pub time_ms: i64,
    pub bits: &'a [u64],
    pub zero_ms: Option<&'a [i64]>,
    pub start_ms: Option<&'a [i64]>,
}

/// The tag of a series, that of its labels if they are a field of their own, and what ends it.
#[derive(Clone, Copy)]
pub struct Framing<'a> {
    pub series: u8,
    pub labels: Option<u8>,
    pub end: &'a [u8],
}

/// A label of each exemplar: bytes, then numbers in hexadecimal, equally many for each.
pub struct Id<'a> {
    pub head: &'a [u8],
    pub numbers: &'a [u64],
}

/// Exemplars by the row of their series, which ascends.
pub struct Exemplars<'a> {
    pub rows: &'a [i64],
    pub bits: &'a [u64],
    pub times_ms: &'a [i64],
    pub ids: &'a [Id<'a>],
}

/// Series: labels, samples, what else there is of each, and exemplars.
pub struct Series<'a> {
    pub rows: usize,
    pub parts: &'a [Part<'a>],
    pub samples: Option<Samples<'a>>,
    pub tails: Option<&'a [&'a [u8]]>,
    pub exemplars: Option<Exemplars<'a>>,
    pub framing: Framing<'a>,
}

impl Series<'_> {
    /// All series, one after the other, and where each ends.
    pub fn write(&self) -> (Vec<u8>, Vec<i64>) {
        let (mut out, mut ends) = (Vec::new(), Vec::with_capacity(self.rows));
        let (mut content, mut next) = (Vec::new(), 0);
        let stamp = self.samples.as_ref().map(|samples| stamp(TIMESTAMP, samples.time_ms));
        for row in 0..self.rows {
            content.clear();
            self.write_labels(row, &mut content);
            if let (Some(samples), Some(stamp)) = (&self.samples, &stamp) {
                samples.write(row, stamp, &mut content);
            }
            content.extend_from_slice(self.tails.map_or(&[][..], |tails| tails[row]));
            if let Some(exemplars) = &self.exemplars {
                next = exemplars.write(row, next, &mut content);
            }
            content.extend_from_slice(self.framing.end);
            out.push(self.framing.series);
            write_varint(content.len() as u64, &mut out);
            out.extend_from_slice(&content);
            ends.push(out.len() as i64);
        }
        (out, ends)
    }

    fn write_labels(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(tag) = self.framing.labels {
            out.push(tag);
            let size: usize = self.parts.iter().map(|part| part.get(row).len()).sum();
            write_varint(size as u64, out);
        }
        for part in self.parts {
            out.extend_from_slice(part.get(row));
        }
    }
}

impl Samples<'_> {
    /// The samples of a series, the later of which ends with `time`.
    fn write(&self, row: usize, time: &[u8], out: &mut Vec<u8>) {
        if let Some(zero_ms) = self.zero_ms.map(|times| times[row]).filter(|&ms| ms != NO_ZERO) {
            write_sample(0, &stamp(TIMESTAMP, zero_ms), &[], out);
        }
        let start_ms = self.start_ms.map_or(0, |times| times[row]);
        let start = if start_ms == 0 { Vec::new() } else { stamp(START_TIMESTAMP, start_ms) };
        write_sample(self.bits[row], time, &start, out);
    }
}

impl Exemplars<'_> {
    /// Those of the series in `row`, the first of which is `first`; returns the next series'.
    fn write(&self, row: usize, first: usize, out: &mut Vec<u8>) -> usize {
        let mut place = first;
        while self.rows.get(place) == Some(&(row as i64)) {
            self.write_one(place, out);
            place += 1;
        }
        place
    }

    fn write_one(&self, place: usize, out: &mut Vec<u8>) {
        let time_ms = self.times_ms[place] as u64;
        let labels: usize = self.ids.iter().map(|id| id.size(self.rows.len())).sum();
        let value = 1 + size_of::<u64>();
        out.push(EXEMPLAR);
        write_varint((labels + value + 1 + varint_size(time_ms)) as u64, out);
        for id in self.ids {
            id.write(place, self.rows.len(), out);
        }
        out.push(EXEMPLAR_VALUE);
        out.extend_from_slice(&self.bits[place].to_le_bytes());
        out.push(EXEMPLAR_TIMESTAMP);
        write_varint(time_ms, out);
    }
}

impl Id<'_> {
    /// How long the label of each of so many exemplars is.
    fn size(&self, exemplars: usize) -> usize {
        self.head.len() + self.numbers.len() / exemplars * DIGITS
    }

    fn write(&self, place: usize, exemplars: usize, out: &mut Vec<u8>) {
        let width = self.numbers.len() / exemplars;
        out.extend_from_slice(self.head);
        for number in &self.numbers[place * width..][..width] {
            let digit =
                |at| b"0123456789abcdef"[(number >> (4 * (DIGITS - 1 - at)) & 0xf) as usize];
            out.extend_from_slice(&std::array::from_fn::<u8, DIGITS, _>(digit));
        }
    }
}

/// A time of a Sample.
fn stamp(tag: u8, time_ms: i64) -> Vec<u8> {
    let mut out = vec![tag];
    write_varint(time_ms as u64, &mut out);
    out
}

fn write_sample(bits: u64, time: &[u8], start: &[u8], out: &mut Vec<u8>) {
    let size = 1 + size_of::<u64>() + time.len() + start.len();
    out.extend_from_slice(&[SAMPLE, size as u8, VALUE]);
    out.extend_from_slice(&bits.to_le_bytes());
    out.extend_from_slice(time);
    out.extend_from_slice(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: Framing<'_> = Framing { series: 0x0a, labels: None, end: b"" };

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
        let zero_ms = Some(&[NO_ZERO, 1][..]);
        let samples = Samples { time_ms: 300, bits: &[7, 8], zero_ms, start_ms: None };
        let tails: [&[u8]; 2] = [b"", b"t"];
        let series = Series {
            rows: 2,
            parts: &parts,
            samples: Some(samples),
            tails: Some(&tails),
            exemplars: None,
            framing: V1,
        };
        let (out, ends) = series.write();
        let one = b"\x0a\x11abb\x12\x0c\x09\x07\0\0\0\0\0\0\0\x10\xac\x02";
        let two = b"\x0a\x1da\x12\x0b\x09\0\0\0\0\0\0\0\0\x10\x01\x12\x0c\x09\x08\0\0\0\0\0\0\0\x10\xac\x02t";
        assert_eq!(out, [&one[..], &two[..]].concat());
        assert_eq!(ends, [one.len() as i64, (one.len() + two.len()) as i64]);
    }

    #[test]
    fn exemplars_stand_behind_their_series_with_ids_in_hexadecimal() {
        let ids =
            [Id { head: b"t", numbers: &[1, 0xfe, 2, 3] }, Id { head: b"s", numbers: &[4, 5] }];
        let exemplars = Exemplars { rows: &[1, 1], bits: &[7, 8], times_ms: &[1, 300], ids: &ids };
        let series = Series {
            rows: 3,
            parts: &[Part::Same(b"a")],
            samples: None,
            tails: None,
            exemplars: Some(exemplars),
            framing: V1,
        };
        let (out, ends) = series.write();
        let first = b"\x1a\x3dt000000000000000100000000000000fes0000000000000004\x11\x07\0\0\0\0\0\0\0\x18\x01";
        let second = b"\x1a\x3et00000000000000020000000000000003s0000000000000005\x11\x08\0\0\0\0\0\0\0\x18\xac\x02";
        let expected = [b"\x0a\x01a\x0a\x80\x01a", &first[..], &second[..], b"\x0a\x01a"].concat();
        assert_eq!(out, expected);
        assert_eq!(ends, [3, out.len() as i64 - 3, out.len() as i64]);
    }

    #[test]
    fn labels_may_be_a_field_and_samples_say_since_when_they_count() {
        let start_ms = Some(&[0, 200][..]);
        let samples = Samples { time_ms: 1, bits: &[7, 8], zero_ms: None, start_ms };
        let series = Series {
            rows: 2,
            parts: &[Part::Same(b"ab")],
            samples: Some(samples),
            tails: None,
            exemplars: None,
            framing: Framing { series: 0x2a, labels: Some(0x0a), end: b"m" },
        };
        let one = b"\x2a\x12\x0a\x02ab\x12\x0b\x09\x07\0\0\0\0\0\0\0\x10\x01m";
        let two = b"\x2a\x15\x0a\x02ab\x12\x0e\x09\x08\0\0\0\0\0\0\0\x10\x01\x18\xc8\x01m";
        assert_eq!(series.write().0, [&one[..], &two[..]].concat());
    }
}
