// SPDX-License-Identifier: Apache-2.0
//! Unions of boxes in several dimensions (addresses, ports, protocols), as disjoint boxes.
//!
//! The kernel refuses overlapping elements of an interval set, and a refused element fails the whole transaction. So
//! rules are never written as they were given: the area that they cover together is. It is canonical: whatever the
//! order and the overlaps of the rules, the same area gives the same boxes (while it is not cut into very many).

use std::fmt::Write;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::PortRange;

/// Values from the first to the second, both included.
pub(crate) type Span = (u32, u32);

/// Every protocol number, ICMP type or ICMP code.
pub(crate) const ANY_BYTE: Span = (0, 255);
/// Every IPv4 address.
pub(crate) const ANY_ADDRESS: Span = (0, u32::MAX);

/// The addresses of a CIDR.
pub(crate) fn net(net: Ipv4Net) -> Span {
    (net.network().to_bits(), net.broadcast().to_bits())
}

/// The ports of a range.
pub(crate) fn ports(ports: PortRange) -> Span {
    (ports.first().into(), ports.last().into())
}

/// One value of a byte field, or all of them.
pub(crate) fn byte(value: Option<u8>) -> Span {
    value.map_or(ANY_BYTE, |v| (v.into(), v.into()))
}

/// How many boxes may be looked at to unite some: about a tenth of a second, and as many elements at most. Rules that
/// overlap in every dimension at once cost the square of their number.
const WORK_MAX: usize = 262_144;

/// Whether `union` of these boxes stays within bounds of time and memory.
pub(crate) fn is_bounded<const D: usize>(boxes: &[[Span; D]]) -> bool {
    let turned = turned(boxes);
    let within = |boxes| sweep(slices(boxes), &mut WORK_MAX.clone()).is_some();
    within(boxes) || within(&turned)
}

fn turned<const D: usize>(boxes: &[[Span; D]]) -> Vec<[Span; D]> {
    boxes.iter().copied().map(turn).collect()
}

fn turn<const D: usize>(mut b: [Span; D]) -> [Span; D] {
    b.reverse();
    b
}

/// Disjoint boxes that cover exactly what `boxes` cover.
///
/// Cut along the first dimension first, or along the last if that makes fewer. (Nested port ranges, each for other
/// addresses, fall into pieces by port but not by address.) Boxes that are not [`is_bounded`] take time and memory
/// without bound: [`crate::plan::check`] refuses their rules before.
pub(crate) fn union<const D: usize>(boxes: &[[Span; D]]) -> Vec<[Span; D]> {
    let turned = turned(boxes);
    let enough = 8_192 + 16 * boxes.len();
    let whole = |disjoint: Vec<Vec<Span>>| disjoint.into_iter().filter_map(|b| <[Span; D]>::try_from(b).ok());
    let along = sweep(slices(boxes), &mut enough.clone());
    let across = sweep(slices(&turned), &mut enough.clone());
    match (along, across) {
        (Some(along), Some(across)) if across.len() < along.len() => whole(across).map(turn).collect(),
        (Some(along), _) => whole(along).collect(),
        (None, Some(across)) => whole(across).map(turn).collect(),
        (None, None) => whole(sweep(slices(boxes), &mut usize::MAX.clone()).unwrap_or_default()).collect(),
    }
}

fn slices<const D: usize>(boxes: &[[Span; D]]) -> Vec<&[Span]> {
    boxes
        .iter()
        .map(<[Span; D]>::as_slice)
        .filter(|b| !b.is_empty())
        .collect()
}

/// Cuts along the first dimension where any box starts or ends, unites the rest of the dimensions within each slice,
/// and joins neighbouring slices that turn out alike. `None` when more than `work` boxes had to be looked at.
fn sweep(mut boxes: Vec<&[Span]>, work: &mut usize) -> Option<Vec<Vec<Span>>> {
    match boxes.as_slice() {
        [] => return Some(Vec::new()),
        [one] => return Some(vec![one.to_vec()]),
        _ => {}
    }
    boxes.sort_unstable();
    boxes.dedup();
    let mut slices: Vec<(Span, Vec<Vec<Span>>)> = Vec::new();
    for_each_slice(&boxes, |span, active| {
        *work = work.checked_sub(active.len())?;
        let rest = if active.iter().any(|b| b.len() == 1) {
            vec![Vec::new()]
        } else {
            sweep(active.iter().filter_map(|b| b.get(1..)).collect(), work)?
        };
        match slices.last_mut() {
            Some((last, same)) if last.1.checked_add(1) == Some(span.0) && *same == rest => last.1 = span.1,
            _ => slices.push((span, rest)),
        }
        Some(())
    })?;
    let boxes = slices.into_iter().flat_map(|(span, rest)| {
        rest.into_iter().map(move |tail| {
            let mut whole = Vec::with_capacity(tail.len() + 1);
            whole.push(span);
            whole.extend(tail);
            whole
        })
    });
    Some(boxes.collect())
}

/// Calls `each` with the slices of the first dimension between two neighbouring cuts, and with the boxes that cover
/// them. Slices that no box covers are left out. `boxes` are sorted. Ends early with `each`.
fn for_each_slice<'a>(
    boxes: &[&'a [Span]],
    mut each: impl FnMut(Span, &[&'a [Span]]) -> Option<()>,
) -> Option<()> {
    let first = |b: &[Span]| b.first().copied().unwrap_or_default();
    // 64 bits: the cut behind the last address is one above u32::MAX.
    let ends = boxes
        .iter()
        .map(|b| first(b))
        .flat_map(|(a, b)| [u64::from(a), u64::from(b) + 1]);
    let mut cuts: Vec<u64> = ends.collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut waiting = boxes.iter().copied().peekable();
    let mut active: Vec<&'a [Span]> = Vec::new();
    for pair in cuts.windows(2) {
        let &[from, until] = pair else { continue };
        active.retain(|b| u64::from(first(b).1) >= from);
        while let Some(next) = waiting.next_if(|b| u64::from(first(b).0) <= from) {
            active.push(next);
        }
        if let (false, Ok(from), Ok(to)) = (active.is_empty(), u32::try_from(from), u32::try_from(until - 1))
        {
            each((from, to), &active)?;
        }
    }
    Some(())
}

/// Appends addresses as nft prints them: one address, a CIDR where the range is one, or `first-last`.
pub(crate) fn push_addresses((first, last): Span, text: &mut String) {
    let size = u64::from(last) - u64::from(first) + 1;
    let start = Ipv4Addr::from_bits(first);
    let _ = if size == 1 {
        write!(text, "{start}")
    } else if size.is_power_of_two() && u64::from(first).is_multiple_of(size) {
        write!(text, "{start}/{}", 32 - size.trailing_zeros())
    } else {
        write!(text, "{start}-{}", Ipv4Addr::from_bits(last))
    };
}

/// Appends numbers as nft prints them: `80` or `80-90`.
pub(crate) fn push_numbers((first, last): Span, text: &mut String) {
    let _ = if first == last {
        write!(text, "{first}")
    } else {
        write!(text, "{first}-{last}")
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(boxes: &[[Span; 3]], point: [u32; 3]) -> usize {
        let inside = |b: &[Span; 3]| b.iter().zip(point).all(|(s, p)| (s.0..=s.1).contains(&p));
        boxes.iter().filter(|b| inside(b)).count()
    }

    fn small_boxes() -> impl Strategy<Value = Vec<[Span; 3]>> {
        let span = || (0_u32..8, 0_u32..8).prop_map(|(a, b)| (a.min(b), a.max(b)));
        proptest::collection::vec((span(), span(), span()).prop_map(|(a, b, c)| [a, b, c]), 0..8)
    }

    proptest! {
        #[test]
        fn a_union_covers_the_same_points_each_exactly_once(boxes in small_boxes()) {
            let disjoint = union(&boxes);
            for point in (0..512).map(|i| [i / 64, i / 8 % 8, i % 8]) {
                prop_assert_eq!(covers(&disjoint, point), usize::from(covers(&boxes, point) > 0));
            }
        }

        #[test]
        fn a_union_does_not_depend_on_the_order_of_the_boxes(boxes in small_boxes()) {
            let mut turned = boxes.clone();
            turned.reverse();
            prop_assert_eq!(union(&boxes), union(&turned));
            prop_assert_eq!(union(&union(&boxes)), union(&boxes));
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_covered() {
        assert_eq!(union(&[[(0, 9)], [(10, u32::MAX)]]), [[ANY_ADDRESS]]);
    }

    /// The first dimension of the one, and the last of the other, would make half a million boxes of them.
    #[test]
    fn a_thousand_nested_ranges_for_as_many_addresses_stay_a_thousand_boxes() {
        let nested: Vec<_> = (0..1_000).map(|i| [(i, 60_000 - i), (7 * i, 7 * i)]).collect();
        assert_eq!(union(&nested).len(), 1_000);
        let turned: Vec<_> = nested
            .iter()
            .map(|&[ports, addresses]| [addresses, ports])
            .collect();
        assert_eq!(union(&turned).len(), 1_000);
    }

    #[test]
    fn addresses_are_written_as_nft_prints_them() {
        let written = |span| {
            let mut text = String::new();
            push_addresses(span, &mut text);
            text
        };
        assert_eq!(written(ANY_ADDRESS), "0.0.0.0/0");
        assert_eq!(written((0x0102_0304, 0x0102_0304)), "1.2.3.4");
        assert_eq!(written((0x0102_0300, 0x0102_0303)), "1.2.3.0/30");
        assert_eq!(written((0x0102_0304, 0x0102_0309)), "1.2.3.4-1.2.3.9");
    }
}
