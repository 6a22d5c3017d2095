//! Pairs the halves of edges. `processors/pairing.py` says what and why; this is its twin.
//!
//! A half costs an entry of the window and one of a table while it is remembered; nothing
//! is allocated for a single half.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::collections::VecDeque;

pub mod columns;
#[cfg(feature = "python")]
pub mod python;
#[cfg(test)]
mod tests;
pub mod window;

use columns::{Halves, Pairs};
use window::{Circle, Half, Number, Side, State, Window};

type Table<K, V> = HashMap<K, V, RandomState>;

pub struct Limits {
    pub wait_ms: i64,
    /// Halves a tenant without a partner.
    pub max_pending: usize,
    /// Numbers from the oldest half that is remembered to the newest.
    pub max_remembered: Number,
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
    limits: Limits,
    window: Window,
    /// Own key of a client, or parent key of servers that wait for it, to the first of them.
    spans: Table<u64, Number>,
    /// Own key of a server to its number.
    servers: Table<u64, Number>,
    /// Of each tenant that has any.
    queues: Table<u32, Queue>,
    lanes: Table<u32, Lane>,
    pending: usize,
    remembered: Number,
}

impl Pairing {
    pub fn new(limits: Limits) -> Self {
        Pairing {
            limits,
            window: Window::default(),
            spans: Table::default(),
            servers: Table::default(),
            queues: Table::default(),
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
    pub fn push(&mut self, first: Number, halves: &Halves) -> Result<Pairs, String> {
        let sides = halves.sides()?;
        if self.window.is_empty() {
            self.window.begin(first);
        }
        if first != self.window.end() {
            return Err(format!("half {first} comes after {}", self.window.end() - 1));
        }
        self.window.reserve(sides.len());
        let mut pairs = Pairs::default();
        for (record, &start) in halves.starts.iter().enumerate() {
            let start = start as usize;
            let end = halves.starts.get(record + 1).map_or(sides.len(), |&next| next as usize);
            let lane = halves.lane[record];
            self.reach(lane, halves.time_ms[record], &mut pairs);
            for (row, &side) in sides.iter().enumerate().take(end).skip(start) {
                let (own, parent) = (halves.own[row], halves.parent[row]);
                self.take(Half::new(own, parent, side, halves.tenant[row]), &mut pairs);
            }
            if start < end {
                self.remember(lane, (end - start) as Number, &mut pairs);
            }
        }
        self.release();
        Ok(pairs)
    }

    /// Let the time of `lane` reach `time_ms`; it never goes back.
    pub fn advance(&mut self, lane: u32, time_ms: i64) -> Pairs {
        let mut pairs = Pairs::default();
        self.reach(lane, time_ms, &mut pairs);
        self.release();
        pairs
    }

    /// Forget all halves of `lane`, and its time; returns those that were pending.
    pub fn close(&mut self, lane: u32) -> Vec<Number> {
        let mut unpaired = Vec::new();
        let closed = self.lanes.remove(&lane);
        for record in closed.into_iter().flat_map(|lane| lane.records) {
            self.forget_record(record, &mut unpaired);
        }
        self.release();
        unpaired
    }

    fn reach(&mut self, lane: u32, time_ms: i64, pairs: &mut Pairs) {
        let new = || Lane { now_ms: time_ms, records: VecDeque::new() };
        let state = self.lanes.entry(lane).or_insert_with(new);
        state.now_ms = state.now_ms.max(time_ms);
        while let Some(record) = self.due(lane) {
            self.forget_record(record, &mut pairs.expired);
        }
    }

    /// The next record of `lane` whose time has run out, taken off its queue.
    fn due(&mut self, lane: u32) -> Option<Record> {
        let state = self.lanes.get_mut(&lane)?;
        let is_due = state.records.front()?.deadline_ms <= state.now_ms;
        if is_due { state.records.pop_front() } else { None }
    }

    #[inline]
    fn take(&mut self, half: Half, pairs: &mut Pairs) {
        let number = self.window.end();
        let side = half.side;
        self.window.push(half);
        if side.is_server() { self.server(number, pairs) } else { self.client(number, pairs) }
    }

    fn client(&mut self, number: Number, pairs: &mut Pairs) {
        let (own, is_closed) = (self.window[number].own, self.window[number].side == Side::Closed);
        let waiting = match self.spans.entry(own) {
            Entry::Vacant(entry) => {
                entry.insert(number);
                None
            }
            Entry::Occupied(mut entry) => {
                if !self.window[*entry.get()].side.is_server() {
                    return pairs.repeated.push(number);
                }
                Some(entry.insert(number))
            }
        };
        if is_closed {
            self.window[number].state = State::Settled;
            pairs.closed.push(number);
        } else if waiting.is_some() {
            self.window[number].state = State::Settled;
            pairs.settled.push(number);
        } else {
            self.wait(number, pairs);
        }
        if let Some(head) = waiting {
            self.meet(number, head, is_closed, pairs);
        }
    }

    /// Pair the client `number` with the servers that waited for it.
    fn meet(&mut self, number: Number, head: Number, is_closed: bool, pairs: &mut Pairs) {
        let mut server = head;
        loop {
            self.settle(server);
            if is_closed {
                pairs.absorbed.push([number, server]);
            } else {
                pairs.edges.push([number, server]);
                pairs.settled.push(server);
            }
            server = self.window.after(Circle::Siblings, server);
            if server == head {
                break;
            }
        }
    }

    fn server(&mut self, number: Number, pairs: &mut Pairs) {
        let &Half { own, parent, side, .. } = &self.window[number];
        match self.servers.entry(own) {
            Entry::Occupied(_) => return pairs.repeated.push(number),
            Entry::Vacant(entry) => entry.insert(number),
        };
        if side == Side::Alone {
            return self.wait(number, pairs);
        }
        match self.spans.entry(parent) {
            Entry::Vacant(entry) => {
                entry.insert(self.window.join(Circle::Siblings, None, number));
                self.wait(number, pairs);
            }
            Entry::Occupied(entry) => {
                let found = *entry.get();
                if self.window[found].side.is_server() {
                    self.window.join(Circle::Siblings, Some(found), number);
                    self.wait(number, pairs);
                } else {
                    self.answer(found, number, pairs);
                }
            }
        }
    }

    /// Pair the server `number` with the client that it names.
    fn answer(&mut self, client: Number, number: Number, pairs: &mut Pairs) {
        self.window[number].state = State::Settled;
        if self.window[client].side == Side::Closed {
            return pairs.absorbed.push([client, number]);
        }
        pairs.edges.push([client, number]);
        pairs.settled.push(number);
        if self.window[client].state == State::Pending {
            self.settle(client);
            pairs.settled.push(client);
        }
    }

    /// Count a half as pending; when its tenant has too many, the oldest goes.
    fn wait(&mut self, number: Number, pairs: &mut Pairs) {
        self.window[number].state = State::Pending;
        self.pending += 1;
        let count = match self.queues.entry(self.window[number].tenant) {
            Entry::Vacant(entry) => {
                let head = self.window.join(Circle::Pending, None, number);
                entry.insert(Queue { head, count: 1 }).count
            }
            Entry::Occupied(mut entry) => {
                let queue = entry.get_mut();
                self.window.join(Circle::Pending, Some(queue.head), number);
                queue.count += 1;
                queue.count
            }
        };
        if count > self.limits.max_pending {
            let oldest = self.queues[&self.window[number].tenant].head;
            self.forget(oldest);
            pairs.evicted.push(oldest);
        }
    }

    /// A half is no longer pending.
    #[inline]
    fn settle(&mut self, number: Number) {
        self.window[number].state = State::Settled;
        self.pending -= 1;
        if let Entry::Occupied(mut entry) = self.queues.entry(self.window[number].tenant) {
            let queue = entry.get_mut();
            queue.count -= 1;
            match self.window.leave(Circle::Pending, queue.head, number) {
                Some(head) => queue.head = head,
                None => drop(entry.remove()),
            }
        }
    }

    /// Take note of a record of so many halves; when there is no room, the oldest goes.
    fn remember(&mut self, lane: u32, halves: Number, pairs: &mut Pairs) {
        let end = self.window.end();
        if let Some(state) = self.lanes.get_mut(&lane) {
            let deadline_ms = state.now_ms.saturating_add(self.limits.wait_ms);
            state.records.push_back(Record { deadline_ms, first: end - halves, end });
        }
        self.remembered += halves;
        while self.window.end() - self.window.base() > self.limits.max_remembered {
            self.release();
            if self.window.end() - self.window.base() <= self.limits.max_remembered {
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
            if side == Side::Server {
                self.leave_siblings(parent, number);
            }
        }
        self.window[number].state = State::Gone;
        if side.is_server() {
            self.servers.remove(&own)
        } else {
            self.spans.remove(&own)
        };
        state == State::Pending
    }

    /// Let a server wait no longer for the client of key `parent`.
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
