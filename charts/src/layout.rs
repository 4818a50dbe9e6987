//! Where everything stands: title, legend, plot, labels. All in pixels before scaling; painting is the drawing code's work.
//!
//! From the top: title, subtitle with the range and the zone, legend (if there is more than one line), a strip for the names
//! of events, the plot, the time axis. What does not fit a small chart is left out from the bottom of that list upwards.

mod header;
mod labels;

use crate::font::{Face, Fonts};
use crate::geometry::Area;
use crate::palette::Palette;
use crate::spec::{ChartSpec, Marker};
use crate::time_axis::{self, TimeTick};
use crate::trace::{self, Row, Run};
use crate::value_axis::{Extent, ValueAxis};
use plotters::style::RGBColor;
use plotters_backend::text_anchor::Pos;

/// Charts narrower or lower than this get smaller margins and letters.
const ROOMY_WIDTH: f64 = 480.0;
const ROOMY_HEIGHT: f64 = 200.0;

/// Room for the time labels below the plot.
const TIME_LABELS: f64 = 22.0;
/// Room for the names of events above the plot.
const MARKER_STRIP: f64 = 18.0;
/// The least room right of the plot, so that the last time label is not cut.
const RIGHT_MARGIN: f64 = 36.0;
/// Room between the value labels and the plot.
const VALUE_GAP: f64 = 10.0;
/// About how far value ticks lie apart.
const VALUE_TICK_DISTANCE: f64 = 48.0;
/// About how far time ticks lie apart at least.
const TIME_TICK_DISTANCE: f64 = 84.0;

/// A piece of text.
#[derive(Clone)]
pub(crate) struct Text {
    /// Its anchor, right and down from the upper left corner.
    pub(crate) at: (f64, f64),
    /// What it says.
    pub(crate) text: String,
    /// Its letters.
    pub(crate) face: Face,
    /// Its colour.
    pub(crate) color: RGBColor,
    /// Which of its points stands at the anchor.
    pub(crate) anchor: Pos,
    /// What is cleared behind it, so that it can be read over lines.
    pub(crate) backing: Option<Area>,
}

/// One line, ready to be drawn.
#[derive(Debug)]
pub(crate) struct Trace {
    /// Its colour.
    pub(crate) color: RGBColor,
    /// Its unbroken runs.
    pub(crate) runs: Vec<Run>,
}

impl Trace {
    /// Its last value.
    pub(crate) fn last(&self) -> Option<&Row> {
        self.runs.last().and_then(|run| run.last())
    }

    /// Whether its buckets hold more than their mean.
    pub(crate) fn has_band(&self) -> bool {
        self.runs.iter().flatten().any(|row| row.max > row.min)
    }
}

/// The finished layout.
pub(crate) struct Plan<'a> {
    /// What is asked for.
    pub(crate) spec: &'a ChartSpec<'a>,
    /// The colours.
    pub(crate) palette: &'static Palette,
    /// The plot.
    pub(crate) plot: Area,
    /// The value axis.
    pub(crate) values: ValueAxis,
    /// The time axis.
    pub(crate) times: Vec<TimeTick>,
    /// The lines.
    pub(crate) traces: Vec<Trace>,
    /// The events within the range.
    pub(crate) markers: Vec<&'a Marker>,
    /// All text.
    pub(crate) texts: Vec<Text>,
    /// The colour samples of the legend.
    pub(crate) swatches: Vec<(Area, RGBColor)>,
}

/// What the parts of the layout share while they place things.
struct Sheet<'a> {
    spec: &'a ChartSpec<'a>,
    fonts: &'a Fonts,
    palette: &'static Palette,
    /// The margin at the left, and at the right of the header.
    pad: f64,
    texts: Vec<Text>,
    swatches: Vec<(Area, RGBColor)>,
}

impl Sheet<'_> {
    fn width(&self) -> f64 {
        f64::from(self.spec.width)
    }

    fn height(&self) -> f64 {
        f64::from(self.spec.height)
    }

    /// Puts down `text` if there is any.
    fn put(&mut self, text: String, at: (f64, f64), face: Face, (color, anchor): (RGBColor, Pos)) {
        if !text.is_empty() {
            self.texts.push(Text { at, text, face, color, anchor, backing: None });
        }
    }
}

impl<'a> Plan<'a> {
    /// Lays out `spec`, which must have been checked.
    pub(crate) fn new(spec: &'a ChartSpec<'a>, fonts: &'a Fonts) -> Self {
        let palette = Palette::of(spec.theme);
        let traces = traces(spec, palette);
        let pad = if f64::from(spec.width) < ROOMY_WIDTH { 12.0 } else { 20.0 };
        let mut sheet = Sheet { spec, fonts, palette, pad, texts: Vec::new(), swatches: Vec::new() };
        let markers: Vec<&Marker> = spec.markers.iter().filter(|m| m.at >= spec.frame.start && m.at <= spec.frame.end).collect();

        let header = header::place(&mut sheet, &traces);
        let roomy = sheet.height() >= ROOMY_HEIGHT;
        let named = roomy && !markers.is_empty();
        let top = header + if named { MARKER_STRIP } else { 0.0 };
        let bottom = sheet.height() - TIME_LABELS - if roomy { 12.0 } else { 6.0 };
        let count = ((bottom - top) / VALUE_TICK_DISTANCE).clamp(2.0, 7.0);
        let values = ValueAxis::new(spec.unit, extent(spec, &traces), spec.pin_percent, count);
        let plot = Area { left: labels::left_edge(&sheet, &values), top, right: labels::right_edge(&sheet, &traces), bottom };
        let times = time_axis::ticks(spec.frame, spec.tz, whole(plot.width() / TIME_TICK_DISTANCE));

        let Sheet { texts, swatches, .. } = sheet;
        let mut plan = Self { spec, palette, plot, values, times, traces, markers, texts, swatches };
        plan.texts.extend(labels::of_axes(&plan, fonts));
        if f64::from(spec.height) >= header::BARE_HEIGHT {
            plan.texts.extend(labels::of_thresholds(&plan, fonts));
        }
        if named {
            plan.texts.extend(labels::of_markers(&plan, fonts));
        }
        plan.texts.extend(labels::of_last_value(&plan, fonts));
        plan.texts.extend(labels::of_nothing(&plan));
        plan
    }

    /// Where a moment, in milliseconds after the start of the range, stands from the left.
    pub(crate) fn x(&self, offset_ms: f64) -> f64 {
        self.plot.left + self.plot.width() * offset_ms / self.spec.span_ms()
    }

    /// Where a value stands from the top.
    pub(crate) fn y(&self, value: f64) -> f64 {
        self.plot.bottom - self.plot.height() * (value - self.values.low) / (self.values.high - self.values.low)
    }

    /// How many stretches a line is thinned to: one for every two pixels that are really painted.
    pub(crate) fn columns(&self) -> usize {
        whole(self.plot.width() * self.spec.scale / 2.0)
    }
}

fn traces(spec: &ChartSpec<'_>, palette: &Palette) -> Vec<Trace> {
    let trace = |(index, line): (usize, &crate::spec::Line<'_>)| Trace {
        color: palette.line(index),
        runs: trace::runs(spec.frame, line.column),
    };
    spec.lines.iter().enumerate().map(trace).collect()
}

fn extent(spec: &ChartSpec<'_>, traces: &[Trace]) -> Extent {
    let mut extent = Extent::default();
    for row in traces.iter().flat_map(|trace| &trace.runs).flatten() {
        extent.include(row.min);
        extent.include(row.max);
    }
    for threshold in drawn_thresholds(spec) {
        extent.include(threshold.value);
    }
    extent
}

/// The thresholds that can be drawn: those with a finite value of a sane size.
pub(crate) fn drawn_thresholds<'a>(spec: &'a ChartSpec<'_>) -> impl Iterator<Item = &'a crate::spec::ThresholdLine> {
    spec.thresholds.iter().filter(|threshold| threshold.value.abs() < trace::LARGEST)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of pixels, and the cast saturates")]
fn whole(number: f64) -> usize {
    number.max(1.0) as usize
}
