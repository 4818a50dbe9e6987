//! What a chart shows and how large it is, held against its limits. How it looks is left to the layout and the palette.

use crate::error::ChartError;
use crate::limits::{MAX_HEIGHT, MAX_LINES, MAX_MARKS, MAX_PIXELS, MAX_SCALE, MAX_WIDTH, MIN_HEIGHT, MIN_SCALE, MIN_WIDTH};
use chrono::{DateTime, Datelike as _};
use chrono_tz::Tz;
use nightbell_model::catalogue::Unit;
use nightbell_model::{Column, Frame, SeriesKey, Timestamp};

/// Colours for day or night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Theme {
    /// Dark on white.
    #[default]
    Light,
    /// Light on near-black.
    Dark,
}

/// One line of the chart.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Its name in the legend.
    pub label: String,
    /// Its values, over the time axis of the spec's frame.
    pub column: &'a Column,
}

/// A level worth comparing with, drawn dashed over the whole width. It widens the value axis so as to be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdLine {
    /// Where, in the unit of the chart; a value that is not finite is not drawn.
    pub value: f64,
    /// What stands on the line; empty prints the value.
    pub label: String,
    /// Whether it only warns: drawn in amber then, otherwise in red.
    pub is_mild: bool,
}

/// A stretch of time to shade: while a rule was breached or firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub start: Timestamp,
    /// Its end; the frame's end if it still goes on.
    pub end: Timestamp,
}

/// An event on the time axis, such as a reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// When.
    pub at: Timestamp,
    /// What, in a word or two.
    pub label: String,
}

/// Everything a chart needs.
#[derive(Debug, Clone)]
pub struct ChartSpec<'a> {
    /// The headline.
    pub title: String,
    /// The line below it, such as the agent's name; the range and the zone are added by the chart.
    pub subtitle: String,
    /// What the values count.
    pub unit: Unit,
    /// The time axis and the range.
    pub frame: &'a Frame,
    /// The lines, in the order of the legend.
    pub lines: Vec<Line<'a>>,
    /// Levels to compare with.
    pub thresholds: Vec<ThresholdLine>,
    /// Stretches to shade; what lies outside the frame is cut off.
    pub breaches: Vec<Span>,
    /// Events; those outside the frame are left out.
    pub markers: Vec<Marker>,
    /// Day or night.
    pub theme: Theme,
    /// Width in pixels before scaling.
    pub width: u32,
    /// Height in pixels before scaling.
    pub height: u32,
    /// Pixels drawn for each pixel of width and height: 2 for a sharp picture on a dense screen.
    pub scale: f64,
    /// The zone of the time axis.
    pub tz: Tz,
    /// Whether the value axis is 0 to 100 as long as all values lie within.
    pub pin_percent: bool,
}

impl<'a> ChartSpec<'a> {
    /// A light chart of 900 x 320 in UTC with every series of the frame; percent is pinned to 0 to 100.
    ///
    /// Lines are called by their keys, or by what they differ in: the values of their labels if all are of one metric.
    #[must_use]
    pub fn new(frame: &'a Frame, title: impl Into<String>, unit: Unit) -> Self {
        let lines = frame.columns.iter().map(|column| Line { label: short_name(frame, &column.key), column }).collect();
        Self {
            title: title.into(),
            subtitle: String::new(),
            unit,
            frame,
            lines,
            thresholds: Vec::new(),
            breaches: Vec::new(),
            markers: Vec::new(),
            theme: Theme::Light,
            width: 900,
            height: 320,
            scale: 1.0,
            tz: Tz::UTC,
            pin_percent: unit == Unit::Percent,
        }
    }

    /// How long the range is, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "ten thousand years in milliseconds are below 2^53")]
    pub(crate) fn span_ms(&self) -> f64 {
        self.frame.end.millis_since(self.frame.start) as f64
    }

    /// Where `at` lies, in milliseconds after the start of the range.
    #[expect(clippy::cast_precision_loss, reason = "ten thousand years in milliseconds are below 2^53")]
    pub(crate) fn offset_ms(&self, at: Timestamp) -> f64 {
        at.millis_since(self.frame.start) as f64
    }

    /// Whether the chart can be drawn.
    ///
    /// # Errors
    /// If a field is outside its limits or the frame is malformed.
    pub(crate) fn check(&self) -> Result<(), ChartError> {
        within("width", f64::from(self.width), f64::from(MIN_WIDTH), f64::from(MAX_WIDTH))?;
        within("height", f64::from(self.height), f64::from(MIN_HEIGHT), f64::from(MAX_HEIGHT))?;
        within("scale", self.scale, MIN_SCALE, MAX_SCALE)?;
        let pixels = u64::from(self.pixel_width()) * u64::from(self.pixel_height());
        if pixels > MAX_PIXELS {
            return Err(ChartError::TooManyPixels { got: pixels });
        }
        if self.lines.len() > MAX_LINES {
            return Err(ChartError::TooManyLines { got: self.lines.len() });
        }
        for (field, got) in
            [("thresholds", self.thresholds.len()), ("breaches", self.breaches.len()), ("markers", self.markers.len())]
        {
            if got > MAX_MARKS {
                return Err(ChartError::TooManyMarks { field, got });
            }
        }
        self.check_frame()
    }

    fn check_frame(&self) -> Result<(), ChartError> {
        for moment in [self.frame.start, self.frame.end] {
            let date = DateTime::from_timestamp_millis(moment.as_millis()).ok_or(ChartError::DateOutOfRange)?;
            // A day is kept free at both ends, since local time may lie a day away.
            if !(1..=9999).contains(&date.year())
                || (date.year() == 9999 && date.ordinal() > 364)
                || (date.year() == 1 && date.ordinal() < 2)
            {
                return Err(ChartError::DateOutOfRange);
            }
        }
        if self.frame.end <= self.frame.start {
            return Err(ChartError::EmptyRange);
        }
        let expected = self.frame.times.len();
        for column in self.lines.iter().map(|line| line.column) {
            for values in [&column.mean, &column.min, &column.max] {
                if values.len() != expected {
                    return Err(ChartError::Ragged { series: column.key.to_string(), expected, got: values.len() });
                }
            }
        }
        Ok(())
    }

    /// The width of the picture in real pixels.
    pub(crate) fn pixel_width(&self) -> u32 {
        scaled(self.width, self.scale)
    }

    /// The height of the picture in real pixels.
    pub(crate) fn pixel_height(&self) -> u32 {
        scaled(self.height, self.scale)
    }
}

/// What `key` is called among the series of `frame`.
fn short_name(frame: &Frame, key: &SeriesKey) -> String {
    let alike = |column: &Column| column.key.has_labels() && column.key.metric() == key.metric();
    if frame.columns.len() < 2 || !frame.columns.iter().all(alike) {
        return key.to_string();
    }
    key.labels().into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 4000 x 3, and the cast saturates")]
fn scaled(size: u32, scale: f64) -> u32 {
    (f64::from(size) * scale).round() as u32
}

fn within(field: &'static str, got: f64, min: f64, max: f64) -> Result<(), ChartError> {
    // Written so that NaN is refused too.
    if got >= min && got <= max { Ok(()) } else { Err(ChartError::OutOfRange { field, min, max, got }) }
}
