//! From pixels, in which the layout thinks, to the finer whole numbers in which the drawing library speaks to its backends.
//!
//! plotters hands coordinates over as whole numbers. Were they pixels, every line would be bent to the pixel grid, however
//! finely it is smoothed afterwards. So one of its units is a sixteenth of a pixel here, and the backends divide.

/// Backend units in one pixel before scaling.
pub(crate) const UNITS: f64 = 16.0;

/// `pixels` in backend units.
#[expect(clippy::cast_possible_truncation, reason = "no canvas is wider than 4000 pixels, and the cast saturates")]
pub(crate) fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// A width of `pixels` in backend units, never negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "widths are small, and the cast saturates at zero")]
pub(crate) fn unit_width(pixels: f64) -> u32 {
    (pixels * UNITS).round() as u32
}

/// A rectangle in pixels before scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    /// Left edge.
    pub(crate) left: f64,
    /// Upper edge.
    pub(crate) top: f64,
    /// Right edge.
    pub(crate) right: f64,
    /// Lower edge.
    pub(crate) bottom: f64,
}

impl Area {
    /// From left to right.
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    /// From top to bottom.
    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }
}
