//! Ids as integers, as `consumer/decode/ids.py` has them.

const HIGH_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const LOW_BASIS: u64 = 0x8422_2325_cbf2_9ce4;
const PRIME: u64 = 0x100_0000_01b3;

/// Both halves of a trace id, big-endian; two digests where it has not 16 bytes.
#[inline]
pub fn trace_id(id: &[u8]) -> [u64; 2] {
    match id.split_first_chunk::<8>() {
        Some((high, low)) if low.len() == 8 => [u64::from_be_bytes(*high), span_id(low)],
        _ => [digest(id, HIGH_BASIS), digest(id, LOW_BASIS)],
    }
}

/// A span id, big-endian; a digest where it has not 8 bytes.
#[inline]
pub fn span_id(id: &[u8]) -> u64 {
    match id.try_into() {
        Ok(bytes) => u64::from_be_bytes(bytes),
        Err(_) => digest(id, HIGH_BASIS),
    }
}

/// FNV-1a, 64 bit.
fn digest(id: &[u8], basis: u64) -> u64 {
    id.iter().fold(basis, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_right_length_are_big_endian_numbers() {
        assert_eq!(span_id(&[0, 0, 0, 0, 0, 0, 1, 2]), 258);
        let id = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
        assert_eq!(trace_id(&id), [1, 2]);
    }

    #[test]
    fn others_are_digested_by_fnv_1a() {
        assert_eq!(span_id(b""), HIGH_BASIS);
        assert_eq!(span_id(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(trace_id(b"a")[0], 0xaf63_dc4c_8601_ec8c);
        assert_ne!(trace_id(b"a")[0], trace_id(b"a")[1]);
    }
}
