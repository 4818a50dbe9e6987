//! The labels in and around the plot: values, times, thresholds, events, the last value, and the word for nothing.

use super::{Plan, RIGHT_MARGIN, Sheet, Text, Trace, VALUE_GAP, drawn_thresholds};
use crate::font::{Face, Fonts, anchor_offset};
use crate::geometry::Area;
use crate::number::print_value;
use crate::value_axis::ValueAxis;
use plotters_backend::text_anchor::{HPos, Pos, VPos};

const LABEL: Face = Face::regular(11.0);
const LABEL_STRONG: Face = Face::semibold(11.0);
const LAST_VALUE: Face = Face::semibold(12.0);
/// Room between the last dot and its value.
const LAST_GAP: f64 = 9.0;
/// The widest name of an event or a threshold.
const NAME: f64 = 240.0;

const fn pos(h_pos: HPos, v_pos: VPos) -> Pos {
    Pos { h_pos, v_pos }
}

/// Where the plot begins: right of the widest value label.
pub(super) fn left_edge(sheet: &Sheet<'_>, values: &ValueAxis) -> f64 {
    let widest = values.ticks.iter().map(|tick| sheet.fonts.width(&tick.label, LABEL)).fold(0.0, f64::max);
    sheet.pad + if widest > 0.0 { widest + VALUE_GAP } else { 0.0 }
}

/// Where the plot ends: left of the last value of a single line.
pub(super) fn right_edge(sheet: &Sheet<'_>, traces: &[Trace]) -> f64 {
    let value = match traces {
        [one] => one.last().map(|row| sheet.fonts.width(&print_value(row.mean, sheet.spec.unit), LAST_VALUE) + LAST_GAP + 12.0),
        _ => None,
    };
    sheet.width() - value.unwrap_or(0.0).max(RIGHT_MARGIN)
}

/// The labels of both axes; a time that would touch its neighbour or the edge is left out.
pub(super) fn of_axes(plan: &Plan<'_>, fonts: &Fonts) -> Vec<Text> {
    let label = |text: &str, at, face, color, anchor| Text { at, text: text.to_owned(), face, color, anchor, backing: None };
    let mut texts: Vec<Text> = plan
        .values
        .ticks
        .iter()
        .map(|tick| {
            let at = (plan.plot.left - VALUE_GAP, plan.y(tick.value));
            label(&tick.label, at, LABEL, plan.palette.muted, pos(HPos::Right, VPos::Center))
        })
        .collect();
    let mut free = 2.0;
    for tick in &plan.times {
        let (face, color) = if tick.strong { (LABEL_STRONG, plan.palette.text) } else { (LABEL, plan.palette.muted) };
        let (x, half) = (plan.x(plan.spec.offset_ms(tick.at)), fonts.width(&tick.label, face) / 2.0);
        if x - half >= free && x + half <= f64::from(plan.spec.width) - 2.0 {
            texts.push(label(&tick.label, (x, plan.plot.bottom + 11.0), face, color, pos(HPos::Center, VPos::Top)));
            free = x + half + 12.0;
        }
    }
    texts
}

/// The names of thresholds, above their lines at the left; beside each other where the lines are close.
pub(super) fn of_thresholds(plan: &Plan<'_>, fonts: &Fonts) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    for threshold in drawn_thresholds(plan.spec) {
        let name =
            if threshold.label.is_empty() { print_value(threshold.value, plan.spec.unit) } else { threshold.label.clone() };
        let name = fonts.fit(&name, LABEL, NAME.min(plan.plot.width() - 12.0));
        let line = plan.y(threshold.value);
        let above = line - 17.0 >= plan.plot.top;
        let mut at = (plan.plot.left + 6.0, if above { line - 6.0 } else { line + 14.0 });
        for other in &texts {
            if (other.at.1 - at.1).abs() < 14.0 {
                at.0 = at.0.max(other.backing.map_or(at.0, |area| area.right + 6.0));
            }
        }
        let width = fonts.width(&name, LABEL);
        if name.is_empty() || at.0 + width > plan.plot.right {
            continue;
        }
        let anchor = pos(HPos::Left, VPos::Bottom);
        let backing = Some(backing(at, (width, LABEL), anchor));
        texts.push(Text {
            at,
            text: name,
            face: LABEL_STRONG,
            color: plan.palette.threshold(threshold.is_mild),
            anchor,
            backing,
        });
    }
    texts
}

/// The names of events in the strip above the plot; a name that would cover another is left out, its line stays.
pub(super) fn of_markers(plan: &Plan<'_>, fonts: &Fonts) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut markers = plan.markers.clone();
    markers.sort_by_key(|marker| marker.at);
    let mut free = 2.0;
    for marker in markers {
        let name = fonts.fit(&marker.label, LABEL, NAME);
        let half = fonts.width(&name, LABEL) / 2.0;
        let x =
            plan.x(plan.spec.offset_ms(marker.at)).clamp(half + 2.0, (f64::from(plan.spec.width) - half - 2.0).max(half + 2.0));
        if name.is_empty() || x - half < free {
            continue;
        }
        free = x + half + 10.0;
        let anchor = pos(HPos::Center, VPos::Bottom);
        let at = (x, plan.plot.top - 8.0);
        texts.push(Text { at, text: name, face: LABEL, color: plan.palette.muted, anchor, backing: None });
    }
    texts
}

/// The last value of a single line, right of its dot.
pub(super) fn of_last_value(plan: &Plan<'_>, fonts: &Fonts) -> Option<Text> {
    let [trace] = plan.traces.as_slice() else {
        return None;
    };
    let row = trace.last()?;
    let text = print_value(row.mean, plan.spec.unit);
    let width = fonts.width(&text, LAST_VALUE);
    let at = (plan.x(row.at) + LAST_GAP, plan.y(row.mean));
    let anchor = pos(HPos::Left, VPos::Center);
    let backing = Some(backing(at, (width, LAST_VALUE), anchor));
    Some(Text { at, text, face: LAST_VALUE, color: trace.color, anchor, backing })
}

/// The word in the middle of a chart without values.
pub(super) fn of_nothing(plan: &Plan<'_>) -> Option<Text> {
    plan.traces.iter().all(|trace| trace.runs.is_empty()).then(|| Text {
        at: (f64::midpoint(plan.plot.left, plan.plot.right), f64::midpoint(plan.plot.top, plan.plot.bottom)),
        text: "no data in this range".to_owned(),
        face: Face::regular(13.0),
        color: plan.palette.muted,
        anchor: pos(HPos::Center, VPos::Center),
        backing: None,
    })
}

/// What is cleared behind a text: its box and a little more.
fn backing(at: (f64, f64), (width, face): (f64, Face), anchor: Pos) -> Area {
    let (left, below) = anchor_offset(anchor, face, width);
    let (x, baseline) = (at.0 - left, at.1 + below);
    Area { left: x - 3.0, top: baseline - face.size + 0.5, right: x + width + 3.0, bottom: baseline + 3.0 }
}
