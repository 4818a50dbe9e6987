//! The limits of a chart, each with its reason. They are held by the spec's check; whoever asks for charts may quote them.

/// The smallest width in pixels: below it no axis leaves room for a line.
pub const MIN_WIDTH: u32 = 200;
/// The largest width in pixels: the width of a 4K screen and a little more.
pub const MAX_WIDTH: u32 = 4000;
/// The smallest height in pixels: below it title and time axis would touch.
pub const MIN_HEIGHT: u32 = 100;
/// The largest height in pixels: a line chart gains nothing from more.
pub const MAX_HEIGHT: u32 = 2000;
/// The smallest scale: one pixel for each pixel of `width` and `height`.
pub const MIN_SCALE: f64 = 1.0;
/// The largest scale: the densest phones have three pixels for one.
pub const MAX_SCALE: f64 = 3.0;
/// The most pixels in one picture: they stand in memory at four bytes each, so this bounds a request to 64 MB.
pub const MAX_PIXELS: u64 = 16_000_000;
/// The most lines on one chart: twice the palette, in two shades, is the most that can be told apart.
pub const MAX_LINES: usize = 20;
/// The most thresholds, breaches and markers, each: more would hide what they mark and cost more than the lines.
pub const MAX_MARKS: usize = 500;
