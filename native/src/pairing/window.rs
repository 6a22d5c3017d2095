//! The halves that may still be named, by number, in circles that take no memory of their own.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

pub type Number = i64;

/// What a half can pair with; the order is that of `Side` in `processors/service_graphs/pairing.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
    Closed,
    Alone,
    Producer,
    Link,
    FilteredClient,
    FilteredServer,
    Nameless,
}

use Side::{
    Alone, Client, Closed, FilteredClient, FilteredServer, Link, Nameless, Producer, Server,
};

impl Side {
    pub fn of(code: u8) -> Option<Side> {
        const ALL: [Side; 9] = [
            Client,
            Server,
            Closed,
            Alone,
            Producer,
            Link,
            FilteredClient,
            FilteredServer,
            Nameless,
        ];
        ALL.get(code as usize).copied()
    }

    /// Whether it is a client half of an edge.
    #[inline]
    pub fn is_client(self) -> bool {
        matches!(self, Client | Closed | Producer)
    }

    pub fn is_marker(self) -> bool {
        matches!(self, FilteredClient | FilteredServer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    /// A link, a nameless server or one that is settled, in its circle of siblings.
    Waiting,
    Settled,
    /// Repeated, evicted or forgotten: as if it had never come.
    Gone,
}

/// The circles that a half can be in.
#[derive(Clone, Copy)]
pub enum Circle {
    /// Servers and links that wait for the same client.
    Siblings,
    /// Pending halves of a tenant.
    Pending,
}

#[derive(Clone, Copy, Default)]
struct Neighbours {
    before: Number,
    after: Number,
}

pub struct Half {
    pub own: u64,
    pub parent: u64,
    pub tenant: u32,
    pub side: Side,
    pub state: State,
    links: [Neighbours; 2],
}

impl Half {
    pub fn new(own: u64, parent: u64, side: Side, tenant: u32) -> Self {
        Half { own, parent, tenant, side, state: State::Gone, links: [Neighbours::default(); 2] }
    }
}

/// Halves with consecutive numbers.
#[derive(Default)]
pub struct Window {
    halves: VecDeque<Half>,
    base: Number,
}

impl Window {
    pub fn is_empty(&self) -> bool {
        self.halves.is_empty()
    }

    /// The number of the first half.
    pub fn base(&self) -> Number {
        self.base
    }

    /// The number after the last half.
    pub fn end(&self) -> Number {
        self.base + self.halves.len() as Number
    }

    /// Begin with `number`; only where there is no half.
    pub fn begin(&mut self, number: Number) {
        assert!(self.is_empty());
        self.base = number;
    }

    /// Make room for so many halves more.
    pub fn reserve(&mut self, halves: usize) {
        self.halves.reserve(halves);
    }

    #[inline]
    pub fn push(&mut self, half: Half) {
        self.halves.push_back(half);
    }

    /// Drop the halves before `number`.
    pub fn release(&mut self, number: Number) {
        let gone = (number - self.base).clamp(0, self.halves.len() as Number);
        self.halves.drain(..gone as usize);
        self.base += gone;
    }

    /// Put a half last in the circle that begins with `head`; returns where it begins now.
    #[inline]
    pub fn join(&mut self, circle: Circle, head: Option<Number>, number: Number) -> Number {
        let Some(head) = head else {
            *self.link(circle, number) = Neighbours { before: number, after: number };
            return number;
        };
        let last = self.link(circle, head).before;
        *self.link(circle, number) = Neighbours { before: last, after: head };
        self.link(circle, last).after = number;
        self.link(circle, head).before = number;
        head
    }

    /// Take a half out of the circle that begins with `head`; returns where it begins now.
    #[inline]
    pub fn leave(&mut self, circle: Circle, head: Number, number: Number) -> Option<Number> {
        let Neighbours { before, after } = *self.link(circle, number);
        if after == number {
            return None;
        }
        self.link(circle, before).after = after;
        self.link(circle, after).before = before;
        Some(if head == number { after } else { head })
    }

    /// The half after `number`; after the last comes the first again.
    #[inline]
    pub fn after(&self, circle: Circle, number: Number) -> Number {
        self[number].links[circle as usize].after
    }

    #[inline]
    fn link(&mut self, circle: Circle, number: Number) -> &mut Neighbours {
        &mut self[number].links[circle as usize]
    }
}

impl Index<Number> for Window {
    type Output = Half;

    #[inline]
    fn index(&self, number: Number) -> &Half {
        &self.halves[(number - self.base) as usize]
    }
}

impl IndexMut<Number> for Window {
    #[inline]
    fn index_mut(&mut self, number: Number) -> &mut Half {
        &mut self.halves[(number - self.base) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(halves: Number) -> Window {
        let mut window = Window::default();
        window.begin(10);
        for _ in 0..halves {
            window.push(Half::new(0, 0, Side::Client, 0));
        }
        window
    }

    fn around(window: &Window, head: Number) -> Vec<Number> {
        let mut numbers = vec![head];
        while window.after(Circle::Pending, numbers[numbers.len() - 1]) != head {
            numbers.push(window.after(Circle::Pending, numbers[numbers.len() - 1]));
        }
        numbers
    }

    #[test]
    fn a_circle_keeps_the_order_in_which_halves_joined() {
        let mut window = window(4);
        let head = [12, 10, 13, 11]
            .iter()
            .fold(None, |head, &number| Some(window.join(Circle::Pending, head, number)));
        assert_eq!(around(&window, head.unwrap()), [12, 10, 13, 11]);
        assert_eq!(window.leave(Circle::Pending, 12, 13), Some(12));
        assert_eq!(window.leave(Circle::Pending, 12, 12), Some(10));
        assert_eq!(around(&window, 10), [10, 11]);
        assert_eq!(window.leave(Circle::Pending, 10, 11), Some(10));
        assert_eq!(window.leave(Circle::Pending, 10, 10), None);
    }

    #[test]
    fn released_halves_leave_the_others_their_numbers() {
        let mut window = window(4);
        window[12].own = 7;
        window.release(12);
        window.release(11);
        assert_eq!((window.base(), window.end(), window[12].own), (12, 14, 7));
        window.release(99);
        assert!(window.is_empty());
        window.begin(50);
        assert_eq!(window.end(), 50);
    }
}
