//! The colours of both themes. Which thing gets which colour is said here; where it stands is the layout's business.

use crate::spec::Theme;
use plotters::style::{RGBAColor, RGBColor};

/// The colours of one theme.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    /// Behind everything.
    pub(crate) background: RGBColor,
    /// Title and legend values.
    pub(crate) text: RGBColor,
    /// Labels of the axes, the subtitle.
    pub(crate) muted: RGBColor,
    /// The horizontal lines.
    pub(crate) grid: RGBColor,
    /// The base line and its ticks.
    pub(crate) axis: RGBColor,
    /// Threshold lines and their labels.
    threshold: RGBColor,
    /// Those that only warn.
    warning: RGBColor,
    /// The shade of a breach.
    pub(crate) breach: RGBAColor,
    /// The rule above a breach.
    pub(crate) breach_edge: RGBAColor,
    /// The lines of series, in the order they are given out; red is kept for thresholds.
    series: [RGBColor; 10],
    /// What second helpings of the series colours are mixed with.
    shade: RGBColor,
}

const LIGHT: Palette = Palette {
    background: RGBColor(255, 255, 255),
    text: RGBColor(17, 24, 39),
    muted: RGBColor(98, 107, 122),
    grid: RGBColor(237, 239, 243),
    axis: RGBColor(209, 213, 220),
    threshold: RGBColor(220, 38, 38),
    warning: RGBColor(180, 95, 6),
    breach: RGBAColor(239, 68, 68, 0.10),
    breach_edge: RGBAColor(239, 68, 68, 0.55),
    series: [
        RGBColor(37, 99, 235),
        RGBColor(234, 122, 20),
        RGBColor(5, 150, 105),
        RGBColor(147, 81, 234),
        RGBColor(8, 145, 178),
        RGBColor(219, 39, 130),
        RGBColor(133, 122, 10),
        RGBColor(100, 116, 139),
        RGBColor(101, 163, 13),
        RGBColor(146, 84, 44),
    ],
    shade: RGBColor(0, 0, 0),
};

const DARK: Palette = Palette {
    background: RGBColor(15, 19, 26),
    text: RGBColor(237, 240, 245),
    muted: RGBColor(148, 158, 173),
    grid: RGBColor(30, 37, 48),
    axis: RGBColor(58, 68, 84),
    threshold: RGBColor(248, 113, 113),
    warning: RGBColor(245, 190, 75),
    breach: RGBAColor(248, 80, 80, 0.13),
    breach_edge: RGBAColor(248, 80, 80, 0.65),
    series: [
        RGBColor(96, 165, 250),
        RGBColor(251, 156, 74),
        RGBColor(52, 211, 153),
        RGBColor(183, 136, 252),
        RGBColor(45, 205, 230),
        RGBColor(244, 114, 182),
        RGBColor(228, 208, 80),
        RGBColor(148, 163, 184),
        RGBColor(163, 230, 53),
        RGBColor(214, 160, 120),
    ],
    shade: RGBColor(255, 255, 255),
};

impl Palette {
    /// The colours of `theme`.
    pub(crate) const fn of(theme: Theme) -> &'static Self {
        match theme {
            Theme::Light => &LIGHT,
            Theme::Dark => &DARK,
        }
    }

    /// The colour of a threshold and its label.
    pub(crate) const fn threshold(&self, is_mild: bool) -> RGBColor {
        if is_mild { self.warning } else { self.threshold }
    }

    /// The colour of the line at `index`: after the last hue all come again, in another shade.
    pub(crate) fn line(&self, index: usize) -> RGBColor {
        let hue = self.series[index % self.series.len()];
        if (index / self.series.len()).is_multiple_of(2) { hue } else { halfway(hue, self.shade) }
    }
}

fn halfway(a: RGBColor, b: RGBColor) -> RGBColor {
    RGBColor(a.0.midpoint(b.0), a.1.midpoint(b.1), a.2.midpoint(b.2))
}
