use super::*;

/// Push one record of (own, parent, side) halves.
fn push(pairing: &mut Pairing, time_ms: i64, halves: &[(u64, u64, u8)]) -> Pairs {
    let column = |part: fn(&(u64, u64, u8)) -> u64| halves.iter().map(part).collect::<Vec<_>>();
    let side = halves.iter().map(|half| half.2).collect::<Vec<_>>();
    let columns = Halves {
        own: &column(|half| half.0),
        parent: &column(|half| half.1),
        side: &side,
        tenant: &vec![0; halves.len()],
        starts: &[0],
        lane: &[0],
        time_ms: &[time_ms],
    };
    let first = pairing.window.end();
    pairing.push(first, &columns, &LIMITS).expect("columns fit")
}

const LIMITS: Limits = Limits { wait_ms: 10, max_pending: 9 };

fn pairing() -> Pairing {
    Pairing::new(1000)
}

#[test]
fn halves_pair_in_either_order() {
    let mut pairing = pairing();
    let pairs = push(&mut pairing, 0, &[(1, 0, 0), (5, 1, 1), (6, 2, 1), (2, 0, 0)]);
    assert_eq!(pairs.edges, [[0, 1], [3, 2]]);
    assert_eq!(pairs.settled, [1, 0, 2, 3]);
    assert_eq!(pairing.pending(), 0);
}

#[test]
fn nothing_is_left_of_halves_when_their_time_is_over() {
    let mut pairing = pairing();
    for time_ms in 0..200 {
        let key = 10 * time_ms as u64;
        let halves = [(key, 0, 0), (key + 1, key, 1), (key + 2, 7, 1), (key + 3, 0, 2)];
        push(&mut pairing, time_ms, &halves);
    }
    assert_eq!((pairing.pending(), pairing.remembered()), (9, 40));
    assert_eq!(pairing.advance(0, 999).expired.len(), 9);
    assert!(pairing.window.is_empty() && pairing.spans.is_empty());
    assert!(pairing.servers.is_empty() && pairing.queues.is_empty());
    assert!(pairing.markers.is_empty());
}

#[test]
fn columns_that_do_not_fit_change_nothing() {
    let mut pairing = pairing();
    let halves = Halves {
        own: &[1],
        parent: &[0],
        side: &[9],
        tenant: &[0],
        starts: &[0],
        lane: &[0],
        time_ms: &[0],
    };
    assert!(pairing.push(0, &halves, &LIMITS).is_err());
    assert_eq!(pairing.oldest(), None);
}
