//! Plans: which tier, how wide, and where from.

use super::*;
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// What a hub that keeps the defaults holds 100 days after the epoch.
fn kept() -> WholeFrom {
    WholeFrom::new([Some(at(93 * DAY)), Some(at(70 * DAY)), Some(at(93 * DAY)), Some(at(10 * DAY))])
}

fn auto(start: i64, max_points: usize, whole_from: WholeFrom) -> Question {
    let raw_points = usize::try_from((100 * DAY - start) / 15_000).unwrap();
    Question { start: at(start), end: at(100 * DAY), tier: None, max_points, raw_points, whole_from }
}

fn tiers(plan: &Plan) -> Vec<Tier> {
    plan.segments.iter().map(|segment| segment.tier).collect()
}

#[test]
fn the_tier_follows_span_and_budget() {
    for (span, max_points, step, tier) in [
        (HOUR, 1000, None, Tier::Raw),
        (4 * HOUR, 1000, None, Tier::Raw),
        (DAY, 1000, Some(5 * MINUTE), Tier::FiveMinutes),
        (7 * DAY, 1000, Some(15 * MINUTE), Tier::FiveMinutes),
        (7 * DAY, 200, Some(HOUR), Tier::Hourly),
        (7 * DAY, 11_000, Some(5 * MINUTE), Tier::FiveMinutes),
        (30 * DAY, 1000, Some(45 * MINUTE), Tier::FiveMinutes),
        (30 * DAY, 9000, Some(5 * MINUTE), Tier::FiveMinutes),
        (60 * DAY, 1000, Some(DAY), Tier::Daily),
        (90 * DAY, 30, Some(4 * DAY), Tier::Daily),
    ] {
        let plan = plan(&auto(100 * DAY - span, max_points, kept()));
        assert_eq!((plan.step_ms, tiers(&plan)), (step, vec![tier]), "{span} {max_points}");
    }
}

#[test]
fn raw_that_is_kept_stands_in_place_of_the_buckets_within_it() {
    let segment = |tier, start, end| Segment { tier, start: at(start), end: at(end) };
    let old = || {
        vec![segment(Tier::Daily, 0, 2 * DAY), segment(Tier::FiveMinutes, 2 * DAY, 3 * DAY), segment(Tier::Raw, 3 * DAY, 4 * DAY)]
    };
    let check = |kept: &[(i64, i64)], expected: &[Segment]| {
        let kept: Vec<(Timestamp, Timestamp)> = kept.iter().map(|(start, end)| (at(*start), at(*end))).collect();
        assert_eq!(with_kept(old(), &kept), expected, "{kept:?}");
    };
    check(&[], &old());
    check(&[(HOUR, 3 * HOUR), (3 * DAY + HOUR, 3 * DAY + 2 * HOUR)], &old());
    check(
        &[(0, DAY), (2 * DAY + HOUR + 1, 2 * DAY + 2 * HOUR + 1), (3 * DAY - HOUR, 3 * DAY + HOUR)],
        &[
            segment(Tier::Raw, 0, DAY),
            segment(Tier::Daily, DAY, 2 * DAY),
            segment(Tier::FiveMinutes, 2 * DAY, 2 * DAY + HOUR + 5 * MINUTE),
            segment(Tier::Raw, 2 * DAY + HOUR + 5 * MINUTE, 2 * DAY + 2 * HOUR),
            segment(Tier::FiveMinutes, 2 * DAY + 2 * HOUR, 3 * DAY - HOUR),
            segment(Tier::Raw, 3 * DAY - HOUR, 3 * DAY),
            segment(Tier::Raw, 3 * DAY, 4 * DAY),
        ],
    );
}

#[test]
fn a_tier_named_outright_is_answered_whole_and_stitched_where_it_ends() {
    let question = |tier| Question { tier: Some(tier), ..auto(60 * DAY + HOUR, 10, kept()) };
    let raw = plan(&question(Tier::Raw));
    assert_eq!(raw.step_ms, None);
    assert_eq!(
        raw.segments,
        [
            Segment { tier: Tier::Daily, start: at(60 * DAY), end: at(70 * DAY) },
            Segment { tier: Tier::FiveMinutes, start: at(70 * DAY), end: at(93 * DAY) },
            Segment { tier: Tier::Raw, start: at(93 * DAY), end: at(100 * DAY) },
        ]
    );
    let hourly = plan(&question(Tier::Hourly));
    assert_eq!(tiers(&hourly), [Tier::Daily, Tier::FiveMinutes, Tier::Hourly]);
    assert_eq!(tiers(&plan(&question(Tier::Daily))), [Tier::Daily]);
}

#[test]
fn at_a_seam_inside_of_a_coarse_bucket_the_whole_bucket_is_the_coarse_ones() {
    let whole_from = WholeFrom::new([Some(at(80 * DAY)), Some(at(70 * DAY + 5 * HOUR)), Some(at(93 * DAY)), Some(at(10 * DAY))]);
    let plan = plan(&Question { tier: Some(Tier::FiveMinutes), ..auto(69 * DAY, 10, whole_from) });
    assert_eq!(plan.segments[0], Segment { tier: Tier::Daily, start: at(69 * DAY), end: at(71 * DAY) });
    assert_eq!(plan.segments[1], Segment { tier: Tier::FiveMinutes, start: at(71 * DAY), end: at(100 * DAY) });
}

proptest! {
    #[test]
    fn segments_ascend_without_overlap_cover_what_is_held_and_keep_the_budget(
        start in 0_i64..99 * DAY,
        length in 1_i64..100 * DAY,
        max_points in 1_usize..3000,
        tier in prop::option::of(prop::sample::select(Tier::ALL.to_vec())),
        marks in prop::array::uniform4(prop::option::of(0_i64..90)),
    ) {
        let end = start + length;
        let whole_from = WholeFrom::new(marks.map(|day| day.map(|day| at(day * DAY))));
        let raw_points = usize::try_from(length / 15_000).unwrap();
        let question = Question { start: at(start), end: at(end), tier, max_points, raw_points, whole_from };
        let plan = plan(&question);
        for pair in plan.segments.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
            prop_assert!(pair[0].tier != pair[1].tier);
        }
        for segment in &plan.segments {
            prop_assert!(segment.start < segment.end && segment.start >= whole_from.of(segment.tier));
            for edge in segment.tier.width_ms().into_iter().flat_map(|width| [(segment.start, width), (segment.end, width)]) {
                prop_assert_eq!(edge.0.floor_to(edge.1), edge.0);
            }
        }
        let held_from = Tier::ALL.map(|tier| whole_from.of(tier)).into_iter().min().unwrap().max(at(start));
        if held_from < at(end) {
            prop_assert!(plan.segments.first().is_some_and(|first| first.start <= held_from));
            prop_assert!(plan.segments.last().is_some_and(|last| last.end >= at(end)));
        }
        if let (None, Some(step)) = (tier, plan.step_ms) {
            prop_assert!(bucket_count(&question, step) <= i64::try_from(max_points.max(2)).unwrap());
        }
    }
}
