//! Why a chart cannot be drawn. Each error names what is wrong with which field; turning it into an answer is the caller's job.

use crate::limits::{MAX_LINES, MAX_MARKS, MAX_PIXELS};

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A size is outside its limits.
    #[error("{field} must be between {min} and {max}, not {got}")]
    OutOfRange {
        /// The field of the spec.
        field: &'static str,
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
        /// What was asked for.
        got: f64,
    },
    /// Width, height and scale are each allowed, but not together.
    #[error("width x height at this scale is {got} pixels; at most {MAX_PIXELS} are drawn")]
    TooManyPixels {
        /// How many pixels were asked for.
        got: u64,
    },
    /// More lines than eyes can tell apart.
    #[error("lines: {got} were asked for; at most {MAX_LINES} fit on one chart")]
    TooManyLines {
        /// How many were asked for.
        got: usize,
    },
    /// More thresholds, breaches or markers than a chart can carry.
    #[error("{field}: {got} were asked for; at most {MAX_MARKS} fit on one chart")]
    TooManyMarks {
        /// The field of the spec.
        field: &'static str,
        /// How many were asked for.
        got: usize,
    },
    /// The frame does not end after its start.
    #[error("frame: the end of the range must lie after its start")]
    EmptyRange,
    /// The frame begins or ends outside the years 1 to 9999.
    #[error("frame: the range must lie within the years 1 to 9999")]
    DateOutOfRange,
    /// A line is not as long as the time axis.
    #[error("lines: {series} has {got} values for {expected} times")]
    Ragged {
        /// The series.
        series: String,
        /// How long the time axis is.
        expected: usize,
        /// How long the shortest column of the series is.
        got: usize,
    },
    /// The embedded font cannot be read.
    #[error("the embedded font cannot be read")]
    Font(#[source] ab_glyph::InvalidFont),
    /// The drawing library gave up.
    #[error("drawing failed: {0}")]
    Drawing(String),
    /// The picture could not be encoded.
    #[error("the PNG could not be encoded")]
    Png(#[from] png::EncodingError),
}
