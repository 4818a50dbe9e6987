//! What the tests of pictures share: frames, decoded PNGs, and a strict eye for XML.

#![expect(dead_code, reason = "each test binary takes what it needs")]

use nightbell_charts::{ChartSpec, render_png};
use nightbell_model::{Column, Frame, Tier, Timestamp};

/// The first line's colour on the light theme.
pub(crate) const BLUE: [u8; 3] = [37, 99, 235];
/// The thresholds' colour on the light theme.
pub(crate) const RED: [u8; 3] = [220, 38, 38];
pub(crate) const WHITE: [u8; 3] = [255, 255, 255];

/// 5 November 2026, 11:00 UTC.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_793_876_400);

/// A raw frame of `count` samples every `step_s` seconds for each of `series`.
pub(crate) fn frame(step_s: i64, count: u32, series: &[(&str, &dyn Fn(u32) -> f64)]) -> Frame {
    let columns = series.iter().map(|(key, value)| {
        let values: Vec<f64> = (0..count).map(value).collect();
        Column { key: key.parse().unwrap(), mean: values.clone(), min: values.clone(), max: values }
    });
    Frame {
        start: START,
        end: START.plus_millis(step_s * 1000 * i64::from(count)),
        tiers: vec![Tier::Raw],
        step_ms: None,
        columns: columns.collect(),
        times: (0..i64::from(count)).map(|i| START.plus_millis(i * step_s * 1000)).collect(),
    }
}

/// A decoded picture.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    bytes: Vec<u8>,
}

impl Picture {
    pub(crate) fn of(spec: &ChartSpec<'_>) -> Self {
        let png = render_png(spec).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        Self { width: info.width as usize, height: info.height as usize, bytes }
    }

    pub(crate) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]]
    }

    /// All pixels of exactly this colour.
    pub(crate) fn all(&self, color: [u8; 3]) -> Vec<(usize, usize)> {
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        places.filter(|(x, y)| self.pixel(*x, *y) == color).collect()
    }

    /// How far the pixel leans from red to blue: 0 on grey, about 25 on the area under a line, above 100 on the line.
    pub(crate) fn blueness(&self, x: usize, y: usize) -> u8 {
        let [r, _, b] = self.pixel(x, y);
        b.saturating_sub(r)
    }

    /// The bluest pixel of column `x` among `rows`.
    pub(crate) fn bluest(&self, x: usize, rows: std::ops::Range<usize>) -> u8 {
        rows.map(|y| self.blueness(x, y)).max().unwrap_or(0)
    }
}

/// The texts of a document, in the order of painting.
pub(crate) fn texts(svg: &str) -> Vec<String> {
    let tails = svg.split("<text ").skip(1);
    tails.map(|tail| tail.split_once('>').unwrap().1.split_once("</text>").unwrap().0.to_owned()).collect()
}

/// Fails unless `text` is well-formed: tags closed in order, attributes quoted and unique, only known entities.
pub(crate) fn assert_well_formed(text: &str) {
    let (mut open, mut rest): (Vec<&str>, &str) = (Vec::new(), text);
    while let Some((data, after)) = rest.split_once('<') {
        assert_entities(data);
        assert!(!open.is_empty() || data.trim().is_empty(), "text outside the root: {data:?}");
        let (tag, after) = after.split_once('>').expect("a tag is not closed");
        assert!(!tag.contains('<'), "{tag:?}");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()), "{name:?}");
        assert_attributes(attributes);
        if !empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "a control character");
}

fn assert_attributes(mut text: &str) {
    let mut seen = Vec::new();
    while !text.trim().is_empty() {
        let (name, after) = text.trim_start().split_once("=\"").expect("an attribute without a quoted value");
        let (value, after) = after.split_once('"').expect("a value is not closed");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name:?}");
        assert!(!seen.contains(&name), "{name} stands twice");
        assert_entities(value);
        seen.push(name);
        text = after;
    }
}

fn assert_entities(text: &str) {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|entity| text[at..].starts_with(entity));
        assert!(known, "an unknown entity in {text:?}");
    }
}
