//! Series become pictures and tables: PNG, SVG and CSV, out of a [`Frame`](nightbell_model::Frame) and nothing else.
//!
//! The same drawing code serves both pictures: it speaks to a drawing backend of plotters, and there are two of them,
//! one that paints pixels and one that writes SVG. The font is embedded, so a hub on a bare server draws as well as any other.
//! Nothing here reads a clock, a file or a store: which series, range, tier, zone and size are chosen by whoever asks.

mod csv;
mod draw;
mod error;
mod font;
mod geometry;
mod layout;
pub mod limits;
mod number;
mod palette;
mod raster;
mod spec;
mod svg;
mod time_axis;
mod trace;
mod value_axis;

pub use csv::{csv_field, write_csv};
pub use error::ChartError;
pub use spec::{ChartSpec, Line, Marker, Span, Theme, ThresholdLine};

/// The chart as a PNG of `width` x `height` pixels, each multiplied by `scale`.
///
/// # Errors
/// If the spec is outside its limits (the error names the field) or its frame is malformed.
pub fn render_png(spec: &ChartSpec<'_>) -> Result<Vec<u8>, ChartError> {
    spec.check()?;
    let fonts = font::Fonts::load()?;
    let plan = layout::Plan::new(spec, &fonts);
    let mut canvas = raster::Canvas::new(spec)?;
    draw::draw(canvas.backend(&fonts), &plan)?;
    canvas.into_png()
}

/// The chart as an SVG document of `width` x `height`, multiplied by `scale`.
///
/// # Errors
/// If the spec is outside its limits (the error names the field) or its frame is malformed.
pub fn render_svg(spec: &ChartSpec<'_>) -> Result<String, ChartError> {
    spec.check()?;
    let fonts = font::Fonts::load()?;
    let plan = layout::Plan::new(spec, &fonts);
    let mut document = svg::Document::new(spec);
    draw::draw(document.backend(&fonts), &plan)?;
    Ok(document.into_text())
}
