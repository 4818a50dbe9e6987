//! The drawing itself, once for all backends: from the back to the front, breaches, grid, bands, areas, lines, thresholds, events,
//! dots, text. Where things stand was settled by the layout.

use crate::error::ChartError;
use crate::font::{Face, Weight};
use crate::geometry::{Area, UNITS, unit_width, units};
use crate::layout::{Plan, Text, Trace, drawn_thresholds};
use crate::trace::{Dense, Run, condense, thin, thin_band};
use nightbell_model::catalogue::Unit;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, RGBAColor, ShapeStyle, TextStyle};
use plotters_backend::DrawingBackend;

type Sheet<DB> = DrawingArea<DB, Shift>;
type Plot<DB> = DrawingArea<DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

const LINE_WIDTH: f64 = 1.6;
const HAIRLINE: f64 = 1.0;
/// Where samples lie denser than pixels, all of them are a pale shape, and their mean course goes over it.
const DENSE_ALPHA: f64 = 0.5;
const THRESHOLD_WIDTH: f64 = 1.2;
/// Dash and gap of thresholds, and of the lines of events.
const THRESHOLD_DASH: (f64, f64) = (6.0, 4.0);
const MARKER_DASH: (f64, f64) = (2.0, 3.0);
/// The dot at the end of a line, and the ring of background around it.
const DOT: f64 = 3.25;
const DOT_RING: f64 = 5.0;
/// How much colour stands under a single line, in its band, and in the bands of many lines.
const AREA_ALPHA: f64 = 0.12;
const BAND_ALPHA: f64 = 0.22;
const CROWDED_BAND_ALPHA: f64 = 0.12;
/// How much of what lies behind a label is covered.
const BACKING_ALPHA: f64 = 0.78;
/// The narrowest breach that is still seen.
const LEAST_BREACH: f64 = 2.0;

/// Draws the chart.
///
/// # Errors
/// If the backend refuses something.
pub(crate) fn draw<DB: DrawingBackend>(backend: DB, plan: &Plan<'_>) -> Result<(), ChartError> {
    draw_all(&backend.into_drawing_area(), plan).map_err(|error| ChartError::Drawing(error.to_string()))
}

fn draw_all<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>) -> Drawn<DB> {
    let coordinates = Cartesian2d::new(
        0.0..plan.spec.span_ms(),
        plan.values.low..plan.values.high,
        (units(plan.plot.left)..units(plan.plot.right), units(plan.plot.bottom)..units(plan.plot.top)),
    );
    let plot = sheet.apply_coord_spec(coordinates);
    sheet.fill(&plan.palette.background)?;
    breaches(sheet, plan)?;
    grid(sheet, plan)?;
    for trace in &plan.traces {
        under(&plot, plan, trace)?;
    }
    for trace in &plan.traces {
        line(&plot, plan, trace)?;
    }
    thresholds(sheet, plan)?;
    markers(sheet, plan)?;
    for trace in &plan.traces {
        last_dot(&plot, plan, trace)?;
    }
    for (area, color) in &plan.swatches {
        block(sheet, *area, color.to_rgba())?;
    }
    for text in &plan.texts {
        label(sheet, plan, text)?;
    }
    sheet.present()
}

/// A filled rectangle.
fn block<DB: DrawingBackend>(sheet: &Sheet<DB>, area: Area, color: RGBAColor) -> Drawn<DB> {
    let corners = [(units(area.left), units(area.top)), (units(area.right), units(area.bottom))];
    sheet.draw(&Rectangle::new(corners, color.filled()))
}

/// A horizontal or vertical line of `width` around the given rectangle's middle, dashed if asked.
fn rule<DB: DrawingBackend>(sheet: &Sheet<DB>, line: Area, dash: Option<(f64, f64)>, color: RGBAColor) -> Drawn<DB> {
    let Some((on, off)) = dash else {
        return block(sheet, line, color);
    };
    let across = line.width() > line.height();
    let (start, end) = if across { (line.left, line.right) } else { (line.top, line.bottom) };
    let mut from = start;
    while from < end {
        let to = (from + on).min(end);
        let piece = if across { Area { left: from, right: to, ..line } } else { Area { top: from, bottom: to, ..line } };
        block(sheet, piece, color)?;
        from = to + off;
    }
    Ok(())
}

fn breaches<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>) -> Drawn<DB> {
    for span in &plan.spec.breaches {
        let range = 0.0..=plan.spec.span_ms();
        let (start, end) = (plan.spec.offset_ms(span.start), plan.spec.offset_ms(span.end));
        if end < start || end < *range.start() || start > *range.end() {
            continue;
        }
        let left = plan.x(start.max(0.0));
        let right = plan.x(end.min(*range.end())).max(left + LEAST_BREACH).min(plan.plot.right);
        let area = Area { left: left.min(right - LEAST_BREACH), right, ..plan.plot };
        block(sheet, area, plan.palette.breach)?;
        block(sheet, Area { bottom: area.top + 2.0, ..area }, plan.palette.breach_edge)?;
    }
    Ok(())
}

fn grid<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>) -> Drawn<DB> {
    for tick in &plan.values.ticks {
        let y = plan.y(tick.value);
        block(sheet, across(plan, y, HAIRLINE), plan.palette.grid.to_rgba())?;
    }
    let base = plan.plot.bottom;
    block(sheet, across(plan, base, HAIRLINE), plan.palette.axis.to_rgba())?;
    for tick in &plan.times {
        let x = plan.x(plan.spec.offset_ms(tick.at));
        block(sheet, Area { top: base, bottom: base + 5.0, ..upright(plan, x) }, plan.palette.axis.to_rgba())?;
    }
    Ok(())
}

fn across(plan: &Plan<'_>, y: f64, width: f64) -> Area {
    Area { top: y - width / 2.0, bottom: y + width / 2.0, ..plan.plot }
}

fn upright(plan: &Plan<'_>, x: f64) -> Area {
    Area { left: x - HAIRLINE / 2.0, right: x + HAIRLINE / 2.0, ..plan.plot }
}

/// The area under a single line, and the bands of buckets.
fn under<DB: DrawingBackend>(plot: &Plot<DB>, plan: &Plan<'_>, trace: &Trace) -> Drawn<DB> {
    let single = plan.traces.len() == 1;
    let band = trace.has_band();
    for run in &trace.runs {
        if single {
            let ground = 0.0_f64.clamp(plan.values.low, plan.values.high);
            let mut outline = points(plan, run);
            let (first, last) = (outline[0].0, outline[outline.len() - 1].0);
            outline.extend([(last, ground), (first, ground)]);
            plot.draw(&Polygon::new(outline, trace.color.mix(AREA_ALPHA)))?;
        }
        if band {
            let edges = thin_band(run, plan.spec.span_ms(), plan.columns());
            let color = trace.color.mix(if single { BAND_ALPHA } else { CROWDED_BAND_ALPHA });
            if let [(at, min, max)] = edges.as_slice() {
                plot.draw(&PathElement::new([(*at, *min), (*at, *max)], stroke(color, LINE_WIDTH)))?;
                continue;
            }
            let upper = edges.iter().map(|(at, _, max)| (*at, *max));
            let lower = edges.iter().rev().map(|(at, min, _)| (*at, *min));
            plot.draw(&Polygon::new(upper.chain(lower).collect::<Vec<_>>(), color))?;
        }
    }
    Ok(())
}

fn stroke(color: RGBAColor, width: f64) -> ShapeStyle {
    ShapeStyle { color, filled: false, stroke_width: unit_width(width) }
}

/// A run drawn together, if it is too dense for a line; a yes-or-no series never is.
fn dense(plan: &Plan<'_>, run: &Run) -> Option<Dense> {
    (plan.spec.unit != Unit::Bool).then(|| condense(run, plan.spec.span_ms(), plan.columns()))?
}

/// The points of the line through a run: its mean course if it is dense; in steps if it is yes or no.
fn points(plan: &Plan<'_>, run: &Run) -> Vec<(f64, f64)> {
    if let Some(dense) = dense(plan, run) {
        return dense.course;
    }
    let points = thin(run, plan.spec.span_ms(), plan.columns());
    if plan.spec.unit != Unit::Bool {
        return points;
    }
    let mut steps = Vec::with_capacity(points.len() * 2);
    for point in points {
        if let Some((_, before)) = steps.last().copied() {
            steps.push((point.0, before));
        }
        steps.push(point);
    }
    steps
}

fn line<DB: DrawingBackend>(plot: &Plot<DB>, plan: &Plan<'_>, trace: &Trace) -> Drawn<DB> {
    let mut lone = Run::new();
    for run in &trace.runs {
        match run.as_slice() {
            [row] => lone.push(*row),
            _ => {
                if let Some(dense) = dense(plan, run) {
                    plot.draw(&Polygon::new(dense.outline, trace.color.mix(DENSE_ALPHA)))?;
                }
                plot.draw(&PathElement::new(points(plan, run), stroke(trace.color.to_rgba(), LINE_WIDTH)))?;
            }
        }
    }
    for point in thin(&lone, plan.spec.span_ms(), plan.columns()) {
        plot.draw(&Circle::new(point, units(LINE_WIDTH), trace.color.filled()))?;
    }
    Ok(())
}

fn last_dot<DB: DrawingBackend>(plot: &Plot<DB>, plan: &Plan<'_>, trace: &Trace) -> Drawn<DB> {
    let Some(row) = trace.last() else {
        return Ok(());
    };
    plot.draw(&Circle::new((row.at, row.mean), units(DOT_RING), plan.palette.background.filled()))?;
    plot.draw(&Circle::new((row.at, row.mean), units(DOT), trace.color.filled()))
}

fn thresholds<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>) -> Drawn<DB> {
    for threshold in drawn_thresholds(plan.spec) {
        let line = across(plan, plan.y(threshold.value), THRESHOLD_WIDTH);
        rule(sheet, line, Some(THRESHOLD_DASH), plan.palette.threshold(threshold.is_mild).to_rgba())?;
    }
    Ok(())
}

fn markers<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>) -> Drawn<DB> {
    for marker in &plan.markers {
        let x = plan.x(plan.spec.offset_ms(marker.at));
        rule(sheet, upright(plan, x), Some(MARKER_DASH), plan.palette.muted.to_rgba())?;
        sheet.draw(&Circle::new((units(x), units(plan.plot.top)), units(2.5), plan.palette.muted.filled()))?;
    }
    Ok(())
}

fn label<DB: DrawingBackend>(sheet: &Sheet<DB>, plan: &Plan<'_>, text: &Text) -> Drawn<DB> {
    if let Some(area) = text.backing {
        block(sheet, area, plan.palette.background.mix(BACKING_ALPHA))?;
    }
    let style = TextStyle { font: font(text.face), color: text.color.to_backend_color(), pos: text.anchor };
    sheet.draw_text(&text.text, &style, (units(text.at.0), units(text.at.1)))
}

fn font(face: Face) -> FontDesc<'static> {
    let style = match face.weight {
        Weight::Regular => FontStyle::Normal,
        Weight::Semibold => FontStyle::Bold,
    };
    FontDesc::new(FontFamily::SansSerif, face.size * UNITS, style)
}
