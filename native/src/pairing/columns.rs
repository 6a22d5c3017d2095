//! What goes into a pairing and what comes out, as columns.

use super::window::{Number, Side};

/// The columns of a batch (see `Halves` in `processors/service_graphs/pairing.py`).
pub struct Halves<'a> {
    pub own: &'a [u64],
    pub parent: &'a [u64],
    pub side: &'a [u8],
    pub tenant: &'a [u32],
    pub starts: &'a [i64],
    pub lane: &'a [u64],
    pub time_ms: &'a [i64],
}

/// What came of halves (see `Pairs` in `processors/service_graphs/pairing.py`).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    pub edges: Vec<[Number; 2]>,
    pub absorbed: Vec<[Number; 2]>,
    pub settled: Vec<Number>,
    pub closed: Vec<Number>,
    pub repeated: Vec<Number>,
    pub expired: Vec<Number>,
    pub evicted: Vec<Number>,
    pub excused: Vec<Number>,
    pub unmarked: Vec<Number>,
    pub hints: Vec<[Number; 2]>,
}

impl Halves<'_> {
    /// The side of each half. Fails for columns that do not fit together.
    pub fn sides(&self) -> Result<Vec<Side>, String> {
        let (rows, records) = (self.own.len(), self.starts.len());
        let lengths = [self.parent.len(), self.side.len(), self.tenant.len()];
        if lengths != [rows; 3] || [self.lane.len(), self.time_ms.len()] != [records; 2] {
            return Err("columns differ in length".into());
        }
        let bounds = self.starts.iter().copied().chain([rows as i64]);
        if self.starts.first().unwrap_or(&0) != &0
            || (records == 0 && rows > 0)
            || !bounds.is_sorted()
        {
            return Err("starts do not cut the halves into records".into());
        }
        let sides = self.side.iter().map(|&code| Side::of(code));
        let sides: Vec<Side> = sides.collect::<Option<_>>().ok_or("a side is not one of 0 to 8")?;
        let mut starts = self.starts.iter().filter(|&&start| start < rows as i64);
        if starts.any(|&start| sides[start as usize] == Side::Link) {
            return Err("a record begins with a link".into());
        }
        Ok(sides)
    }
}
