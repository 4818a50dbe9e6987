//! The head of the chart: title, subtitle with range and zone, legend.

use super::{ROOMY_HEIGHT, ROOMY_WIDTH, Sheet, Trace};
use crate::font::Face;
use crate::geometry::Area;
use crate::number::print_value;
use crate::time_axis::range_text;
use plotters_backend::text_anchor::{HPos, Pos, VPos};

const BASELINE: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Bottom };
const BASELINE_RIGHT: Pos = Pos { h_pos: HPos::Right, v_pos: VPos::Bottom };
const MIDDLE: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };

/// Charts lower than this have a title and nothing else above the plot.
pub(super) const BARE_HEIGHT: f64 = 140.0;
/// The height of one row of the legend.
const LEGEND_ROW: f64 = 19.0;
/// The legend takes at most this share of the height.
const LEGEND_SHARE: f64 = 0.3;
/// The widest entry of the legend; longer names are cut.
const LEGEND_ENTRY: f64 = 300.0;
/// The colour sample and the room right of it.
const SWATCH: (f64, f64) = (12.0, 7.0);
/// Room between two entries.
const LEGEND_GAP: f64 = 20.0;

/// Places the head and says where it ends.
pub(super) fn place(sheet: &mut Sheet<'_>, traces: &[Trace]) -> f64 {
    let roomy = sheet.height() >= ROOMY_HEIGHT;
    let title = Face::semibold(if roomy && sheet.width() >= ROOMY_WIDTH { 17.0 } else { 13.0 });
    let mut y = if roomy { 16.0 } else { 8.0 };
    let room = sheet.width() - 2.0 * sheet.pad;
    if !sheet.spec.title.is_empty() {
        y += title.size;
        let text = sheet.fonts.fit(&sheet.spec.title, title, room);
        sheet.put(text, (sheet.pad, y), title, (sheet.palette.text, BASELINE));
    }
    if sheet.height() < BARE_HEIGHT {
        return y + 14.0;
    }
    y = subtitle(sheet, y, room);
    y = legend(sheet, traces, y, room);
    y + if roomy { 26.0 } else { 14.0 }
}

/// The subtitle at the left, range and zone at the right; below each other if they do not fit side by side.
fn subtitle(sheet: &mut Sheet<'_>, y: f64, room: f64) -> f64 {
    let face = Face::regular(if sheet.width() >= ROOMY_WIDTH { 12.0 } else { 11.0 });
    let color = sheet.palette.muted;
    let zone = sheet.spec.tz.name();
    let range = format!("{} · {zone}", range_text(sheet.spec.frame, sheet.spec.tz));
    let (left, right) = (sheet.fonts.width(&sheet.spec.subtitle, face), sheet.fonts.width(&range, face));
    let row = face.size + 7.0;
    let y = y + row;
    if left + LEGEND_GAP + right <= room || sheet.spec.subtitle.is_empty() {
        let (at, anchor) =
            if sheet.spec.subtitle.is_empty() { (sheet.pad, BASELINE) } else { (sheet.width() - sheet.pad, BASELINE_RIGHT) };
        let range = sheet.fonts.fit(&range, face, room);
        sheet.put(sheet.spec.subtitle.clone(), (sheet.pad, y), face, (color, BASELINE));
        sheet.put(range, (at, y), face, (color, anchor));
        return y;
    }
    if sheet.height() >= ROOMY_HEIGHT {
        let rows = [sheet.spec.subtitle.as_str(), &range].map(|text| sheet.fonts.fit(text, face, room));
        let [first, second] = rows;
        sheet.put(first, (sheet.pad, y), face, (color, BASELINE));
        sheet.put(second, (sheet.pad, y + row), face, (color, BASELINE));
        return y + row;
    }
    let rest = room - sheet.fonts.width(zone, face) - LEGEND_GAP;
    let cut = sheet.fonts.fit(&sheet.spec.subtitle, face, rest);
    sheet.put(cut, (sheet.pad, y), face, (color, BASELINE));
    sheet.put(zone.to_owned(), (sheet.width() - sheet.pad, y), face, (color, BASELINE_RIGHT));
    y
}

/// One entry for each line, wrapped; what finds no room is counted in the last place.
fn legend(sheet: &mut Sheet<'_>, traces: &[Trace], y: f64, room: f64) -> f64 {
    if traces.len() < 2 {
        return y;
    }
    let rows = (sheet.height() * LEGEND_SHARE / LEGEND_ROW).floor().max(1.0);
    let face = Face::regular(11.5);
    let bold = Face::semibold(11.5);
    let (mut x, mut row) = (sheet.pad, 0.0);
    let middle = |row: f64| y + 10.0 + LEGEND_ROW * (row + 0.5);
    for (index, (line, trace)) in sheet.spec.lines.iter().zip(traces).enumerate() {
        let value = trace.last().map(|last| print_value(last.mean, sheet.spec.unit)).unwrap_or_default();
        let value_width = if value.is_empty() { 0.0 } else { sheet.fonts.width(&value, bold) + 6.0 };
        let name = sheet.fonts.fit_middle(&line.label, face, LEGEND_ENTRY.min(room) - SWATCH.0 - SWATCH.1 - value_width);
        let name_width = sheet.fonts.width(&name, face);
        let width = SWATCH.0 + SWATCH.1 + name_width + value_width;
        let left_over = traces.len() - index;
        let reserve = if row + 1.0 >= rows && left_over > 1 { LEGEND_GAP + sheet.fonts.width("+20 more", face) } else { 0.0 };
        if x > sheet.pad && x + width + reserve > sheet.pad + room {
            if row + 1.0 >= rows {
                sheet.put(format!("+{left_over} more"), (x, middle(row)), face, (sheet.palette.muted, MIDDLE));
                break;
            }
            (x, row) = (sheet.pad, row + 1.0);
        }
        let at = middle(row);
        let swatch = Area { left: x, top: at - 1.5, right: x + SWATCH.0, bottom: at + 1.5 };
        sheet.swatches.push((swatch, trace.color));
        let text = x + SWATCH.0 + SWATCH.1;
        sheet.put(name, (text, at), face, (sheet.palette.muted, MIDDLE));
        sheet.put(value, (text + name_width + 6.0, at), bold, (sheet.palette.text, MIDDLE));
        x += width + LEGEND_GAP;
    }
    middle(row) + LEGEND_ROW / 2.0 - 3.0
}
