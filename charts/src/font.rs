//! The embedded font: how wide a text is, where its glyphs stand, and how to shorten it. Painting glyphs is the raster backend's work.

use crate::error::ChartError;
use ab_glyph::{Font as _, FontRef, Glyph, GlyphId, PxScale, point};
use plotters_backend::text_anchor::{HPos, Pos, VPos};

const REGULAR: &[u8] = include_bytes!("../fonts/inter-regular.ttf");
const SEMIBOLD: &[u8] = include_bytes!("../fonts/inter-semibold.ttf");

/// The height of Inter's capitals as a share of the font size (1490 of 2048 units).
const CAP_HEIGHT: f64 = 0.7275;

/// What a shortened text ends in.
const ELLIPSIS: char = '…';

/// How heavy the letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// For labels.
    Regular,
    /// For the title and for values.
    Semibold,
}

/// A size in pixels and a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Face {
    /// The size of an em.
    pub(crate) size: f64,
    /// How heavy the letters are.
    pub(crate) weight: Weight,
}

impl Face {
    /// Letters of normal weight.
    pub(crate) const fn regular(size: f64) -> Self {
        Self { size, weight: Weight::Regular }
    }

    /// Letters of some weight.
    pub(crate) const fn semibold(size: f64) -> Self {
        Self { size, weight: Weight::Semibold }
    }
}

/// Both weights of the embedded font.
#[derive(Debug)]
pub(crate) struct Fonts {
    regular: FontRef<'static>,
    semibold: FontRef<'static>,
}

impl Fonts {
    /// Reads the embedded bytes.
    ///
    /// # Errors
    /// If they are not a font.
    pub(crate) fn load() -> Result<Self, ChartError> {
        let read = |bytes| FontRef::try_from_slice(bytes).map_err(ChartError::Font);
        Ok(Self { regular: read(REGULAR)?, semibold: read(SEMIBOLD)? })
    }

    /// The font of one weight.
    pub(crate) const fn font(&self, weight: Weight) -> &FontRef<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Semibold => &self.semibold,
        }
    }

    /// How many pixels of width `text` takes.
    pub(crate) fn width(&self, text: &str, face: Face) -> f64 {
        let font = self.font(face.weight);
        let advance: f32 = text.chars().map(|c| font.h_advance_unscaled(glyph_of(font, c))).sum();
        f64::from(advance / units_per_em(font)) * face.size
    }

    /// `text` if it fits into `room` pixels, else as much of it as fits with an ellipsis.
    pub(crate) fn fit(&self, text: &str, face: Face, room: f64) -> String {
        if self.width(text, face) <= room {
            return text.to_owned();
        }
        let font = self.font(face.weight);
        let pixels = |c| f64::from(font.h_advance_unscaled(glyph_of(font, c)) / units_per_em(font)) * face.size;
        let mut left = room - pixels(ELLIPSIS);
        let mut fitted: String = text
            .chars()
            .take_while(|c| {
                left -= pixels(*c);
                left >= 0.0
            })
            .collect();
        fitted.truncate(fitted.trim_end().len());
        if !fitted.is_empty() {
            fitted.push(ELLIPSIS);
        }
        fitted
    }

    /// Like [`fit`](Self::fit), but cut in the middle: names of series differ at their ends.
    pub(crate) fn fit_middle(&self, text: &str, face: Face, room: f64) -> String {
        if self.width(text, face) <= room {
            return text.to_owned();
        }
        let half = (room - self.width("…", face)) / 2.0;
        let pixels = |c: char| self.width(c.encode_utf8(&mut [0; 4]), face);
        let taken = |chars: &mut dyn Iterator<Item = char>| {
            let mut left = half;
            let fits = |c: &char| {
                left -= pixels(*c);
                left >= 0.0
            };
            chars.take_while(fits).collect::<Vec<char>>()
        };
        let (head, mut tail) = (taken(&mut text.chars()), taken(&mut text.chars().rev()));
        tail.reverse();
        if head.is_empty() { String::new() } else { head.into_iter().chain([ELLIPSIS]).chain(tail).collect() }
    }

    /// The glyphs of `text` in `face`, the first one's origin at `x`, all on the baseline `y`.
    pub(crate) fn glyphs(&self, text: &str, face: Face, (x, y): (f32, f32)) -> Vec<Glyph> {
        let font = self.font(face.weight);
        let per_em = units_per_em(font);
        #[expect(clippy::cast_possible_truncation, reason = "a font size")]
        let size = face.size as f32;
        // ab_glyph scales by the height of the line, not of the em.
        let scale = PxScale::from(size * font.height_unscaled() / per_em);
        let mut pen = x;
        text.chars()
            .map(|c| {
                let id = glyph_of(font, c);
                let glyph = id.with_scale_and_position(scale, point(pen, y));
                pen += font.h_advance_unscaled(id) / per_em * size;
                glyph
            })
            .collect()
    }
}

fn units_per_em(font: &FontRef<'_>) -> f32 {
    // The fallback is Inter's own; it serves a font that keeps silent about it.
    font.units_per_em().unwrap_or(2048.0)
}

fn glyph_of(font: &FontRef<'_>, c: char) -> GlyphId {
    font.glyph_id(if c.is_control() { ' ' } else { c })
}

/// How far a text of `width` pixels reaches left of its anchor, and how far its baseline lies below it.
///
/// Vertically, `Bottom` is the baseline, `Center` the middle of the capitals and `Top` their upper edge.
pub(crate) fn anchor_offset(anchor: Pos, face: Face, width: f64) -> (f64, f64) {
    let left = match anchor.h_pos {
        HPos::Left => 0.0,
        HPos::Center => width / 2.0,
        HPos::Right => width,
    };
    let below = match anchor.v_pos {
        VPos::Bottom => 0.0,
        VPos::Center => CAP_HEIGHT * face.size / 2.0,
        VPos::Top => CAP_HEIGHT * face.size,
    };
    (left, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_fonts_know_the_letters_of_europe_and_the_signs_of_units() {
        let fonts = Fonts::load().unwrap();
        for weight in [Weight::Regular, Weight::Semibold] {
            let missing: String =
                "Az09 äßéłőžşğıȚ ΑΩμ Жяїђ °%µ–—…·→≥≤∞".chars().filter(|c| fonts.font(weight).glyph_id(*c).0 == 0).collect();
            assert_eq!(missing, "", "{weight:?}");
        }
    }

    #[test]
    fn a_text_is_cut_to_its_room() {
        let fonts = Fonts::load().unwrap();
        let face = Face::regular(11.0);
        assert_eq!(fonts.fit("short", face, 100.0), "short");
        let cut = fonts.fit("a rather long name of a host", face, 60.0);
        assert!(cut.ends_with('…') && cut.len() > 4, "{cut}");
        assert!(fonts.width(&cut, face) <= 60.0);
        assert_eq!(fonts.fit("anything", face, 2.0), "");
        let cut = fonts.fit_middle("container.cpu_percent{container=web-1}", face, 100.0);
        assert!(
            cut.starts_with("cont") && cut.ends_with("web-1}") && cut.contains('…') && fonts.width(&cut, face) <= 100.0,
            "{cut}"
        );
        assert_eq!(fonts.fit_middle("anything", face, 2.0), "");
    }

    #[test]
    fn width_grows_with_the_size() {
        let fonts = Fonts::load().unwrap();
        let (small, large) = (fonts.width("Mmx", Face::regular(10.0)), fonts.width("Mmx", Face::regular(20.0)));
        assert!((large - 2.0 * small).abs() < 1e-3 && small > 15.0 && small < 40.0, "{small} {large}");
    }
}
