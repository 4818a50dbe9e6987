//! The backend that paints pixels, smoothed by tiny-skia and lettered by ab_glyph, and the PNG they become.
//!
//! Straight blocks are snapped to whole pixels so that grid lines are crisp; curves and letters are anti-aliased in place.

use crate::error::ChartError;
use crate::font::{Face, Fonts, Weight, anchor_offset};
use crate::geometry::UNITS;
use crate::limits::MAX_PIXELS;
use crate::spec::ChartSpec;
use ab_glyph::Font as _;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle};
use std::convert::Infallible;
use tiny_skia::{FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Stroke, Transform};

/// What is not wider than this has no width, in pixels: tiny-skia's `SCALAR_NEARLY_ZERO`.
const HAIR: f32 = 1.0 / 4096.0;

/// The pixels of one chart.
pub(crate) struct Canvas {
    pixmap: Pixmap,
    /// Real pixels in one backend unit.
    per_unit: f64,
}

/// Paints on a canvas.
pub(crate) struct Painter<'a> {
    canvas: &'a mut Canvas,
    fonts: &'a Fonts,
}

type Painted = Result<(), DrawingErrorKind<Infallible>>;

impl Canvas {
    /// An empty canvas of the size `spec` asks for.
    ///
    /// # Errors
    /// If it is too large to be held.
    pub(crate) fn new(spec: &ChartSpec<'_>) -> Result<Self, ChartError> {
        let pixmap = Pixmap::new(spec.pixel_width(), spec.pixel_height()).ok_or(ChartError::TooManyPixels { got: MAX_PIXELS })?;
        Ok(Self { pixmap, per_unit: spec.scale / UNITS })
    }

    /// What draws on it.
    pub(crate) fn backend<'a>(&'a mut self, fonts: &'a Fonts) -> Painter<'a> {
        Painter { canvas: self, fonts }
    }

    /// The picture as PNG. It has no alpha channel: the background covers everything.
    ///
    /// # Errors
    /// If the encoder fails.
    pub(crate) fn into_png(self) -> Result<Vec<u8>, ChartError> {
        let rgb: Vec<u8> = self.pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
        let mut bytes = Vec::with_capacity(rgb.len() / 32);
        let mut encoder = png::Encoder::new(&mut bytes, self.pixmap.width(), self.pixmap.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rgb)?;
        writer.finish()?;
        Ok(bytes)
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels of a canvas")]
    fn pixel(&self, units: i32) -> f32 {
        (f64::from(units) * self.per_unit) as f32
    }

    fn path(&self, points: impl IntoIterator<Item = BackendCoord>, closed: bool) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for (x, y) in points {
            let (x, y) = (self.pixel(x), self.pixel(y));
            if builder.is_empty() { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        if closed {
            builder.close();
        }
        builder.finish()
    }

    /// Fills an area. One without width or height is none, and the painter below would complain of each in the log.
    fn fill(&mut self, path: &Path, color: BackendColor) {
        let bounds = path.bounds();
        if bounds.width() <= HAIR || bounds.height() <= HAIR {
            return;
        }
        self.pixmap.fill_path(path, &paint(color), FillRule::Winding, Transform::identity(), None);
    }

    fn stroke(&mut self, path: &Path, style: &impl BackendStyle) {
        #[expect(clippy::cast_possible_truncation, reason = "a line's width")]
        let width = (f64::from(style.stroke_width()) * self.per_unit) as f32;
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(style.color()), &stroke, Transform::identity(), None);
    }

    /// Fills a rectangle snapped to whole pixels, at least one in each direction.
    fn fill_block(&mut self, (left, top): BackendCoord, (right, bottom): BackendCoord, color: BackendColor) {
        let snap = |from: i32, to: i32| {
            let (from, size) = (self.pixel(from.min(to)).round(), self.pixel((to - from).abs()).round().max(1.0));
            (from, from + size)
        };
        let ((left, right), (top, bottom)) = (snap(left, right), snap(top, bottom));
        if let Some(rect) = Rect::from_ltrb(left, top, right, bottom) {
            let paint = Paint { anti_alias: false, ..paint(color) };
            self.pixmap.fill_rect(rect, &paint, Transform::identity(), None);
        }
    }

    /// Mixes `color` into the pixel at (`x`, `y`), if there is one, as far as `coverage` (0 to 1) says.
    fn mix(&mut self, x: i32, y: i32, (color, coverage): ((u8, u8, u8), f32)) {
        let (Ok(column), Ok(row)) = (u32::try_from(x), u32::try_from(y)) else {
            return;
        };
        if column >= self.pixmap.width() || row >= self.pixmap.height() {
            return;
        }
        let index = (row * self.pixmap.width() + column) as usize;
        let pixel = &mut self.pixmap.pixels_mut()[index];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the two colours, so within a byte")]
        let between = |under: u8, over: u8| (f32::from(under) + (f32::from(over) - f32::from(under)) * coverage).round() as u8;
        let (r, g, b) = (between(pixel.red(), color.0), between(pixel.green(), color.1), between(pixel.blue(), color.2));
        // Under full alpha premultiplied colours are the colours themselves; the canvas is filled before letters come.
        if let Some(mixed) = PremultipliedColorU8::from_rgba(r, g, b, 255) {
            *pixel = mixed;
        }
    }
}

fn paint(color: BackendColor) -> Paint<'static> {
    let (r, g, b) = color.rgb;
    let mut paint = Paint::default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an alpha between 0 and 1; the cast saturates")]
    paint.set_color_rgba8(r, g, b, (color.alpha * 255.0).round() as u8);
    paint
}

impl DrawingBackend for Painter<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the size of a canvas in units")]
        let units = |pixels: u32| (f64::from(pixels) / self.canvas.per_unit).round() as u32;
        (units(self.canvas.pixmap.width()), units(self.canvas.pixmap.height()))
    }

    fn ensure_prepared(&mut self) -> Painted {
        Ok(())
    }

    fn present(&mut self) -> Painted {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Painted {
        self.canvas.fill_block(point, point, color);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Painted {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S, fill: bool) -> Painted {
        if fill {
            self.canvas.fill_block(a, b, style.color());
            return Ok(());
        }
        self.draw_path([a, (b.0, a.1), b, (a.0, b.1), a], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Painted {
        if let Some(path) = self.canvas.path(path, false) {
            self.canvas.stroke(&path, style);
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Painted {
        let radius = self.canvas.pixel(i32::try_from(radius).unwrap_or(i32::MAX));
        let Some(path) = PathBuilder::from_circle(self.canvas.pixel(center.0), self.canvas.pixel(center.1), radius) else {
            return Ok(());
        };
        if fill {
            self.canvas.fill(&path, style.color())
        } else {
            self.canvas.stroke(&path, style)
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Painted {
        if let Some(path) = self.canvas.path(corners, true) {
            self.canvas.fill(&path, style.color());
        }
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Painted {
        let weight = if matches!(style.style(), FontStyle::Bold) { Weight::Semibold } else { Weight::Regular };
        let face = Face { size: style.size() * self.canvas.per_unit, weight };
        let (left, below) = anchor_offset(style.anchor(), face, self.fonts.width(text, face));
        #[expect(clippy::cast_possible_truncation, reason = "a place on the canvas")]
        let (left, below) = (left as f32, below as f32);
        // A baseline on a whole pixel keeps the feet of the letters sharp.
        let origin = (self.canvas.pixel(at.0) - left, (self.canvas.pixel(at.1) + below).round());
        let color = style.color();
        #[expect(clippy::cast_possible_truncation, reason = "an alpha between 0 and 1")]
        let alpha = color.alpha as f32;
        for glyph in self.fonts.glyphs(text, face, origin) {
            let Some(outline) = self.fonts.font(weight).outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            #[expect(clippy::cast_possible_truncation, reason = "a place on the canvas")]
            let (x0, y0) = (corner.x as i32, corner.y as i32);
            outline.draw(|x, y, coverage| {
                let (x, y) = (x0.saturating_add_unsigned(x), y0.saturating_add_unsigned(y));
                self.canvas.mix(x, y, (color.rgb, coverage.clamp(0.0, 1.0) * alpha));
            });
        }
        Ok(())
    }
}
