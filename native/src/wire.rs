//! The protobuf wire format, with the limits that upb puts on it.

/// Messages and groups that may nest inside a record (upb's default).
pub const MAX_DEPTH: u32 = 100;

/// Where a record stops making sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Address of the byte; the caller subtracts that of the record.
    pub address: usize,
    pub what: &'static str,
}

pub type Result<T> = std::result::Result<T, Malformed>;

/// Reads fields off the front of a message.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    pub fn malformed<T>(&self, what: &'static str) -> Result<T> {
        let address = self.rest.as_ptr() as usize;
        Err(Malformed { address, what })
    }

    /// Field number and wire type. Five bytes at most, no field 0, no wire types 6 and 7.
    #[inline]
    pub fn tag(&mut self) -> Result<u32> {
        if let [byte @ 0x08..0x80, rest @ ..] = self.rest
            && byte & 7 < 6
        {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        self.long_tag()
    }

    fn long_tag(&mut self) -> Result<u32> {
        let before = *self;
        let tag = self.any_tag()?;
        if tag >> 3 == 0 {
            return before.malformed("field number 0");
        }
        Ok(tag)
    }

    /// A tag of any field, 0 among them: upb takes that inside a group that it skips.
    fn any_tag(&mut self) -> Result<u32> {
        let before = *self;
        let Ok(tag) = u32::try_from(self.varint_of(5)?) else {
            return before.malformed("tag too large");
        };
        if tag & 7 > 5 {
            return before.malformed("unknown wire type");
        }
        Ok(tag)
    }

    /// Ten bytes at most; bits beyond the 64th are lost.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.varint_of(10)
    }

    fn varint_of(&mut self, most: usize) -> Result<u64> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(most).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < most {
            self.malformed("truncated varint")
        } else {
            self.malformed("varint too long")
        }
    }

    #[inline]
    pub fn fixed32(&mut self) -> Result<u32> {
        let Some((value, rest)) = self.rest.split_first_chunk() else {
            return self.malformed("truncated fixed32");
        };
        self.rest = rest;
        Ok(u32::from_le_bytes(*value))
    }

    #[inline]
    pub fn fixed64(&mut self) -> Result<u64> {
        let Some((value, rest)) = self.rest.split_first_chunk() else {
            return self.malformed("truncated fixed64");
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*value))
    }

    /// A length (five bytes at most) and as many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        if let [length @ 0..0x80, rest @ ..] = self.rest
            && let Some((value, rest)) = rest.split_at_checked(usize::from(*length))
        {
            self.rest = rest;
            return Ok(value);
        }
        self.long_bytes()
    }

    fn long_bytes(&mut self) -> Result<&'a [u8]> {
        let before = *self;
        let length = self.varint_of(5)?;
        let Some((value, rest)) =
            usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length))
        else {
            return before.malformed("length beyond the end of the message");
        };
        self.rest = rest;
        Ok(value)
    }

    /// Skip the field whose tag was just read; `depth` levels may still be entered.
    pub fn skip(&mut self, tag: u32, depth: u32) -> Result<()> {
        match tag & 7 {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            2 => self.bytes().map(drop),
            3 => self.skip_group(tag >> 3, depth),
            5 => self.fixed32().map(drop),
            _ => self.malformed("end of a group that never began"),
        }
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<()> {
        let depth = self.enter(depth)?;
        while !self.is_empty() {
            let tag = self.any_tag()?;
            if tag == number << 3 | 4 {
                return Ok(());
            }
            self.skip(tag, depth)?;
        }
        self.malformed("group without end")
    }

    /// Levels left inside a nested message or group.
    #[inline]
    pub fn enter(&self, depth: u32) -> Result<u32> {
        match depth.checked_sub(1) {
            Some(depth) => Ok(depth),
            None => self.malformed("nested too deeply"),
        }
    }
}

/// Bytes of the shortest varint of `value`.
#[inline]
pub fn varint_size(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes of a length and as many bytes.
#[inline]
pub fn delimited_size(length: usize) -> usize {
    varint_size(length as u64) + length
}

pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
        result.unwrap_err().what
    }

    #[test]
    fn varints_take_up_to_ten_bytes_and_lose_what_is_beyond_64_bits() {
        let ten = [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(Reader::new(&ten).varint(), Ok(1));
        let all = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new(&all).varint(), Ok(u64::MAX));
        assert_eq!(what(Reader::new(&[0x80; 10]).varint()), "varint too long");
        assert_eq!(what(Reader::new(&[0x80; 9]).varint()), "truncated varint");
        assert_eq!(what(Reader::new(&[]).varint()), "truncated varint");
    }

    #[test]
    fn tags_take_up_to_five_bytes_and_name_a_field() {
        assert_eq!(Reader::new(&[0x8a, 0x80, 0x80, 0x80, 0x00]).tag(), Ok(10));
        let six = [0x8a, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(what(Reader::new(&six).tag()), "varint too long");
        let wide = [0xf8, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(what(Reader::new(&wide).tag()), "tag too large");
        assert_eq!(what(Reader::new(&[0x02]).tag()), "field number 0");
        assert_eq!(what(Reader::new(&[0x80, 0x00]).tag()), "field number 0");
        assert_eq!(what(Reader::new(&[0x0e]).tag()), "unknown wire type");
    }

    #[test]
    fn lengths_stay_inside_the_message() {
        assert_eq!(Reader::new(&[0x02, 1, 2, 3]).bytes(), Ok(&[1, 2][..]));
        assert_eq!(Reader::new(&[0x81, 0x00, 7]).bytes(), Ok(&[7][..]));
        let beyond = "length beyond the end of the message";
        assert_eq!(what(Reader::new(&[0x02, 1]).bytes()), beyond);
        assert_eq!(what(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).bytes()), beyond);
    }

    #[test]
    fn groups_are_skipped_with_their_own_end() {
        let mut reader = Reader::new(&[0x0b, 0x13, 0x14, 0x08, 0x01, 0x0c, 0x08]);
        let tag = reader.tag().unwrap();
        assert_eq!(reader.skip(tag, 2), Ok(()));
        assert_eq!(reader.tag(), Ok(8));
        let mut zero = Reader::new(&[0x0b, 0x00, 0x05, 0x0c]);
        let tag = zero.tag().unwrap();
        assert_eq!(zero.skip(tag, 1), Ok(()));
        let mut other = Reader::new(&[0x0b, 0x14]);
        let tag = other.tag().unwrap();
        assert_eq!(what(other.skip(tag, 2)), "end of a group that never began");
        let mut deep = Reader::new(&[0x0b, 0x13, 0x14, 0x0c]);
        let tag = deep.tag().unwrap();
        assert_eq!(what(deep.skip(tag, 1)), "nested too deeply");
    }

    #[test]
    fn sizes_of_varints_are_those_written() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1] {
                let mut out = Vec::new();
                write_varint(value, &mut out);
                assert_eq!(out.len(), varint_size(value));
                assert_eq!(Reader::new(&out).varint(), Ok(value));
            }
        }
    }
}
