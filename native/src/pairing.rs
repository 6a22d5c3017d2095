//! Pairs the halves of edges. `processors/service_graphs/pairing.py` says what and why; this is its twin.
//!
//! A half costs an entry of the window and one of a table while it is remembered; nothing
//! is allocated for a single half.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::collections::VecDeque;

pub mod columns;
mod markers;
mod meetings;
#[cfg(feature = "python")]
pub mod python;
#[cfg(test)]
mod tests;
pub mod window;

use columns::{Halves, Pairs};
use markers::Markers;
use window::{Circle, Half, Number, Side, State, Window};

type Table<K, V> = HashMap<K, V, RandomState>;

/// What holds for the halves of a batch.
pub struct Limits {
    pub wait_ms: i64,
    /// Halves a tenant without a partner.
    pub max_pending: usize,
}

/// A record's halves, from `first` up to `end`.
#[derive(Clone, Copy)]
struct Record {
    deadline_ms: i64,
    first: Number,
    end: Number,
}

struct Lane {
    now_ms: i64,
    records: VecDeque<Record>,
}

/// The pending halves of a tenant, a circle.
struct Queue {
    head: Number,
    count: usize,
}

pub struct Pairing {
    /// Numbers from the oldest half that is remembered to the newest.
    max_remembered: Number,
    /// Of the batch that is taken.
    max_pending: usize,
    window: Window,
    /// Own key of a client, or parent key of servers that wait for it, to the first of them.
    spans: Table<u64, Number>,
    /// Own key of a server to its number.
    servers: Table<u64, Number>,
    /// Of each tenant that has any.
    queues: Table<u32, Queue>,
    markers: Markers,
    lanes: Table<u64, Lane>,
    pending: usize,
    remembered: Number,
}

impl Pairing {
    pub fn new(max_remembered: Number) -> Self {
        Pairing {
            max_remembered,
            max_pending: 0,
            window: Window::default(),
            spans: Table::default(),
            servers: Table::default(),
            queues: Table::default(),
            markers: Markers::default(),
            lanes: Table::default(),
            pending: 0,
            remembered: 0,
        }
    }

    /// Halves without a partner.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Halves of records that are not forgotten.
    pub fn remembered(&self) -> Number {
        self.remembered
    }

    /// The lowest number of a half that is still remembered.
    pub fn oldest(&self) -> Option<Number> {
        let fronts = self.lanes.values().filter_map(|lane| lane.records.front());
        fronts.map(|record| record.first).min()
    }

    /// Take the halves of records, in order; the first has the number `first`.
    pub fn push(
        &mut self,
        first: Number,
        halves: &Halves,
        limits: &Limits,
    ) -> Result<Pairs, String> {
        let sides = halves.sides()?;
        if self.window.is_empty() {
            self.window.begin(first);
        }
        if first != self.window.end() {
            return Err(format!("half {first} comes after {}", self.window.end() - 1));
        }
        self.max_pending = limits.max_pending;
        self.window.reserve(sides.len());
        let mut pairs = Pairs::default();
        for (record, &start) in halves.starts.iter().enumerate() {
            let start = start as usize;
            let end = halves.starts.get(record + 1).map_or(sides.len(), |&next| next as usize);
            let lane = halves.lane[record];
            let now_ms = self.reach(lane, halves.time_ms[record], &mut pairs);
            for (row, &side) in sides.iter().enumerate().take(end).skip(start) {
                let (own, parent) = (halves.own[row], halves.parent[row]);
                self.take(Half::new(own, parent, side, halves.tenant[row]), &mut pairs);
            }
            if start < end {
                let deadline_ms = now_ms.saturating_add(limits.wait_ms);
                let (first, end) = (first + start as Number, first + end as Number);
                self.remember(lane, Record { deadline_ms, first, end }, &mut pairs);
            }
        }
        self.release();
        Ok(pairs)
    }

    /// Let the time of `lane` reach `time_ms`; it never goes back.
    pub fn advance(&mut self, lane: u64, time_ms: i64) -> Pairs {
        let mut pairs = Pairs::default();
        self.reach(lane, time_ms, &mut pairs);
        self.release();
        pairs
    }

    /// Forget all halves of `lane`, and its time; returns those that were pending.
    pub fn close(&mut self, lane: u64) -> Vec<Number> {
        let mut unpaired = Vec::new();
        let closed = self.lanes.remove(&lane);
        for record in closed.into_iter().flat_map(|lane| lane.records) {
            self.forget_record(record, &mut unpaired);
        }
        self.release();
        unpaired
    }

    /// Let the time of `lane` reach `time_ms`; returns what it is then.
    fn reach(&mut self, lane: u64, time_ms: i64, pairs: &mut Pairs) -> i64 {
        let new = || Lane { now_ms: time_ms, records: VecDeque::new() };
        let state = self.lanes.entry(lane).or_insert_with(new);
        state.now_ms = state.now_ms.max(time_ms);
        let now_ms = state.now_ms;
        while let Some(record) = self.due(lane) {
            self.forget_record(record, &mut pairs.expired);
        }
        now_ms
    }

    /// The next record of `lane` whose time has run out, taken off its queue.
    fn due(&mut self, lane: u64) -> Option<Record> {
        let state = self.lanes.get_mut(&lane)?;
        let is_due = state.records.front()?.deadline_ms <= state.now_ms;
        if is_due { state.records.pop_front() } else { None }
    }

    /// Take note of a record of halves; when there is no room, the oldest goes.
    fn remember(&mut self, lane: u64, record: Record, pairs: &mut Pairs) {
        self.remembered += record.end - record.first;
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.records.push_back(record);
        }
        while self.window.end() - self.window.base() > self.max_remembered {
            self.release();
            if self.window.end() - self.window.base() <= self.max_remembered {
                break;
            }
            let fronts = self.lanes.values_mut().filter(|lane| !lane.records.is_empty());
            let oldest = fronts.min_by_key(|lane| lane.records[0].first);
            if let Some(record) = oldest.and_then(|lane| lane.records.pop_front()) {
                self.forget_record(record, &mut pairs.evicted);
            }
        }
    }

    fn forget_record(&mut self, record: Record, unpaired: &mut Vec<Number>) {
        self.remembered -= record.end - record.first;
        for number in record.first..record.end {
            if self.forget(number) {
                unpaired.push(number);
            }
        }
    }

    /// Forget a half as if it had never come; says whether it was pending.
    fn forget(&mut self, number: Number) -> bool {
        let &Half { own, parent, side, state, .. } = &self.window[number];
        if state == State::Gone {
            return false;
        }
        if state == State::Pending {
            self.settle(number);
        }
        let waits = matches!(state, State::Pending | State::Waiting);
        if waits && matches!(side, Side::Server | Side::Link | Side::Nameless) {
            self.leave_siblings(parent, number);
        }
        self.window[number].state = State::Gone;
        if side.is_client() {
            self.spans.remove(&own);
        } else if side.is_marker() {
            self.markers.remove(&self.window[number]);
        } else if !matches!(side, Side::Link | Side::Nameless) {
            self.servers.remove(&own);
        }
        state == State::Pending
    }

    /// Let a server or link wait no longer for the client of key `parent`.
    fn leave_siblings(&mut self, parent: u64, number: Number) {
        if let Entry::Occupied(mut entry) = self.spans.entry(parent) {
            match self.window.leave(Circle::Siblings, *entry.get(), number) {
                Some(head) => drop(entry.insert(head)),
                None => drop(entry.remove()),
            }
        }
    }

    /// Free the halves that nothing can name any more.
    fn release(&mut self) {
        self.window.release(self.oldest().unwrap_or(self.window.end()));
    }
}
