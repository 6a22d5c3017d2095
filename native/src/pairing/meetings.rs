//! What comes of a half when it is taken, and of those that it meets.

use super::columns::Pairs;
use super::window::{Circle, Half, Number, Side, State};
use super::{Pairing, Queue, markers};
use hashbrown::hash_map::Entry;

impl Pairing {
    #[inline]
    pub(super) fn take(&mut self, half: Half, pairs: &mut Pairs) {
        let number = self.window.end();
        let side = half.side;
        self.window.push(half);
        match side {
            Side::Server | Side::Alone => self.server(number, pairs),
            Side::Client | Side::Closed | Side::Producer => self.client(number, pairs),
            Side::Link => self.link(number, pairs),
            Side::FilteredClient | Side::FilteredServer => self.mark(number, pairs),
            Side::Nameless => self.hint(number, pairs),
        }
    }

    fn client(&mut self, number: Number, pairs: &mut Pairs) {
        let &Half { own, side, .. } = &self.window[number];
        let waiting = match self.spans.entry(own) {
            Entry::Vacant(entry) => {
                entry.insert(number);
                None
            }
            Entry::Occupied(mut entry) => {
                if self.window[*entry.get()].side.is_client() {
                    return pairs.repeated.push(number);
                }
                Some(entry.insert(number))
            }
        };
        self.window[number].state = State::Settled;
        let is_closed = side == Side::Closed;
        let hints = pairs.hints.len();
        if waiting.is_some_and(|head| self.meet(number, head, pairs)) {
            if is_closed { &mut pairs.closed } else { &mut pairs.settled }.push(number);
        } else if pairs.hints.len() == hints && self.markers.has(Side::FilteredServer, own) {
            pairs.excused.push(number);
        } else if is_closed {
            pairs.closed.push(number);
        } else {
            self.wait(number, pairs);
        }
    }

    /// Pair the client `number` with those that wait for it; says whether there are any.
    fn meet(&mut self, number: Number, head: Number, pairs: &mut Pairs) -> bool {
        let client = self.window[number].side;
        let (mut waiting, mut has_met) = (head, false);
        loop {
            let is_link = self.window[waiting].side == Side::Link;
            let is_nameless = self.window[waiting].side == Side::Nameless;
            let is_pending = self.window[waiting].state == State::Pending;
            if is_pending {
                self.settle(waiting);
            }
            self.window[waiting].state = State::Settled;
            if is_nameless {
                pairs.hints.push([number, waiting]);
            } else if client == Side::Closed && !is_link && is_pending {
                pairs.absorbed.push([number, waiting]);
            } else if client == Side::Producer || (client == Side::Client && !is_link) {
                pairs.edges.push([number, waiting]);
                if is_link {
                    let speaker = self.speaker(waiting);
                    self.release_from_wait(speaker, &mut pairs.settled);
                } else if is_pending {
                    pairs.settled.push(waiting);
                }
            }
            has_met |= !is_nameless && (client == Side::Producer || !is_link);
            waiting = self.window.after(Circle::Siblings, waiting);
            if waiting == head {
                return has_met;
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
        match self.spans.get(&parent) {
            Some(&found) if self.window[found].side.is_client() => {
                self.answer(found, number, pairs);
            }
            None if self.markers.has(Side::FilteredClient, parent) => {
                self.window[number].state = State::Settled;
                pairs.excused.push(number);
            }
            _ => {
                self.join(number);
                self.wait(number, pairs);
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
        self.release_from_wait(client, &mut pairs.settled);
    }

    fn link(&mut self, number: Number, pairs: &mut Pairs) {
        let speaker = self.speaker(number);
        if self.window[speaker].state == State::Gone {
            return;
        }
        let key = self.window[number].parent;
        match self.spans.get(&key) {
            Some(&found) if self.window[found].side == Side::Producer => {
                self.window[number].state = State::Settled;
                pairs.edges.push([found, number]);
                self.release_from_wait(found, &mut pairs.settled);
                self.release_from_wait(speaker, &mut pairs.settled);
            }
            Some(&found) if self.window[found].side.is_client() => {}
            None if self.markers.has(Side::FilteredClient, key) => {
                self.release_from_wait(speaker, &mut pairs.excused);
            }
            _ => {
                self.join(number);
                self.window[number].state = State::Waiting;
            }
        }
    }

    /// Tell the client that a nameless server names, if it waits, or let the server wait.
    fn hint(&mut self, number: Number, pairs: &mut Pairs) {
        let key = self.window[number].parent;
        match self.spans.get(&key) {
            Some(&found) if self.window[found].side.is_client() => {
                if self.window[found].state == State::Pending {
                    pairs.hints.push([found, number]);
                }
            }
            None if self.markers.has(Side::FilteredClient, key) => {}
            _ => {
                self.join(number);
                self.window[number].state = State::Waiting;
            }
        }
    }

    /// Excuse those that wait for a half that was left out, and those to come.
    fn mark(&mut self, number: Number, pairs: &mut Pairs) {
        let is_client = self.window[number].side == Side::FilteredClient;
        let key = markers::key(&self.window[number]);
        let found = self.spans.get(&key).map(|&first| (first, self.window[first].side.is_client()));
        match found {
            Some((client, true)) if !is_client => {
                self.release_from_wait(client, &mut pairs.excused);
            }
            Some((head, false)) if is_client => {
                self.spans.remove(&key);
                self.excuse_all(head, pairs);
            }
            _ => {}
        }
        match self.markers.put(&self.window[number], number, self.max_pending) {
            Ok(before) => {
                self.window[number].state = State::Settled;
                if let Some(before) = before {
                    self.window[before].state = State::Gone;
                }
            }
            Err(()) => pairs.unmarked.push(number),
        }
    }

    /// Excuse the servers and links of the circle that begins with `head`.
    fn excuse_all(&mut self, head: Number, pairs: &mut Pairs) {
        let mut waiting = head;
        loop {
            let speaker = self.speaker(waiting);
            self.release_from_wait(speaker, &mut pairs.excused);
            self.window[waiting].state = State::Settled;
            waiting = self.window.after(Circle::Siblings, waiting);
            if waiting == head {
                break;
            }
        }
    }

    /// The half on whose behalf a link pairs; any other half speaks for itself.
    fn speaker(&self, number: Number) -> Number {
        let mut speaker = number;
        while self.window[speaker].side == Side::Link {
            speaker -= 1;
        }
        speaker
    }

    /// Let a half that is pending be so no longer, and put it `to` those like it. A server
    /// stays among its siblings.
    fn release_from_wait(&mut self, number: Number, to: &mut Vec<Number>) {
        if self.window[number].state == State::Pending {
            self.settle(number);
            if self.window[number].side == Side::Server {
                self.window[number].state = State::Waiting;
            }
            to.push(number);
        }
    }

    /// Let a server or link wait for the client that it names.
    fn join(&mut self, number: Number) {
        match self.spans.entry(self.window[number].parent) {
            Entry::Vacant(entry) => {
                entry.insert(self.window.join(Circle::Siblings, None, number));
            }
            Entry::Occupied(entry) => {
                self.window.join(Circle::Siblings, Some(*entry.get()), number);
            }
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
        if count > self.max_pending {
            let oldest = self.queues[&self.window[number].tenant].head;
            self.forget(oldest);
            pairs.evicted.push(oldest);
            let links = oldest + 1..self.window.end();
            for link in links {
                if self.window[link].side != Side::Link {
                    break;
                }
                self.forget(link);
            }
        }
    }

    /// A half is no longer pending.
    #[inline]
    pub(super) fn settle(&mut self, number: Number) {
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
}
