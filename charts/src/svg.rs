//! The backend that writes SVG: small, self-contained, without scripts or outside resources.
//!
//! Text stays text, so it can be read aloud and searched; the layout was made for Inter, and viewers without it take the
//! nearest sans-serif.

use crate::font::{Face, Fonts, Weight, anchor_offset};
use crate::geometry::UNITS;
use crate::spec::ChartSpec;
use plotters_backend::text_anchor::HPos;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle};
use std::convert::Infallible;
use std::fmt::Write as _;

const FONT_FAMILY: &str =
    "Inter, 'Inter Variable', system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// An SVG document that is being written.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    width: u32,
    height: u32,
}

/// Writes elements into a document.
pub(crate) struct Writer<'a> {
    document: &'a mut Document,
    fonts: &'a Fonts,
}

type Written = Result<(), DrawingErrorKind<Infallible>>;

impl Document {
    /// The opening of a document of the size `spec` asks for.
    pub(crate) fn new(spec: &ChartSpec<'_>) -> Self {
        let (width, height) = (spec.width, spec.height);
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"{FONT_FAMILY}\">\n<title>{}</title>\n",
            spec.pixel_width(),
            spec.pixel_height(),
            escape(&spec.title),
        );
        Self { text, width, height }
    }

    /// What draws on it.
    pub(crate) fn backend<'a>(&'a mut self, fonts: &'a Fonts) -> Writer<'a> {
        Writer { document: self, fonts }
    }

    /// The finished document.
    pub(crate) fn into_text(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn push(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }

    /// `x,y x,y …`
    fn points(points: impl IntoIterator<Item = BackendCoord>) -> String {
        let mut text = String::new();
        for (x, y) in points {
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing into a string cannot fail.
            let _ = write!(text, "{},{}", pixels(x), pixels(y));
        }
        text
    }
}

/// Backend units as pixels, with at most two digits after the point.
fn pixels(units: i32) -> String {
    number(f64::from(units) / UNITS)
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `fill="#rrggbb"` with an opacity if there is one; `kind` is `fill` or `stroke`.
fn colored(kind: &str, color: BackendColor) -> String {
    let (r, g, b) = color.rgb;
    let opacity = if color.alpha < 1.0 { format!(" {kind}-opacity=\"{}\"", number(color.alpha)) } else { String::new() };
    format!("{kind}=\"#{r:02x}{g:02x}{b:02x}\"{opacity}")
}

fn stroked(style: &impl BackendStyle) -> String {
    let width = number(f64::from(style.stroke_width()) / UNITS);
    format!(
        "fill=\"none\" {} stroke-width=\"{width}\" stroke-linecap=\"round\" stroke-linejoin=\"round\"",
        colored("stroke", style.color())
    )
}

/// `text` as XML character data and attribute values need it; control characters and those XML 1.0 does not know become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            control if control.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

impl DrawingBackend for Writer<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the size of a canvas in units")]
        let units = |pixels: u32| (f64::from(pixels) * UNITS) as u32;
        (units(self.document.width), units(self.document.height))
    }

    fn ensure_prepared(&mut self) -> Written {
        Ok(())
    }

    fn present(&mut self) -> Written {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Written {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Written {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S, fill: bool) -> Written {
        if !fill {
            return self.draw_path([a, (b.0, a.1), b, (a.0, b.1), a], style);
        }
        let place = format!("x=\"{}\" y=\"{}\"", pixels(a.0.min(b.0)), pixels(a.1.min(b.1)));
        let size = format!("width=\"{}\" height=\"{}\"", pixels((b.0 - a.0).abs()), pixels((b.1 - a.1).abs()));
        self.document.push(&format!("<rect {place} {size} {} shape-rendering=\"crispEdges\"/>", colored("fill", style.color())));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Written {
        self.document.push(&format!("<polyline points=\"{}\" {}/>", Document::points(path), stroked(style)));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Written {
        let place =
            format!("cx=\"{}\" cy=\"{}\" r=\"{}\"", pixels(center.0), pixels(center.1), number(f64::from(radius) / UNITS));
        let look = if fill { colored("fill", style.color()) } else { stroked(style) };
        self.document.push(&format!("<circle {place} {look}/>"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Written {
        self.document.push(&format!("<polygon points=\"{}\" {}/>", Document::points(corners), colored("fill", style.color())));
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Written {
        let bold = matches!(style.style(), FontStyle::Bold);
        let face = Face { size: style.size() / UNITS, weight: if bold { Weight::Semibold } else { Weight::Regular } };
        let (_, below) = anchor_offset(style.anchor(), face, self.fonts.width(text, face));
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let weight = if bold { " font-weight=\"600\"" } else { "" };
        let place = format!("x=\"{}\" y=\"{}\"", pixels(x), number(f64::from(y) / UNITS + below));
        let look = colored("fill", style.color());
        let size = number(face.size);
        self.document
            .push(&format!("<text {place} font-size=\"{size}\"{weight} text-anchor=\"{anchor}\" {look}>{}</text>", escape(text)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_labels_stays_text() {
        assert_eq!(escape("<b a='x'>\"&\"\u{1}\n</b>"), "&lt;b a=&#39;x&#39;&gt;&quot;&amp;&quot;\u{fffd} &lt;/b&gt;");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([pixels(160), pixels(8), pixels(-1)], ["10", "0.5", "-0.06"]);
    }
}
