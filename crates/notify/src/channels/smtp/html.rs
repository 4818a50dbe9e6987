//! The HTML part of a mail: a page with tables and inline styles, as mail readers want it, light and dark.

use super::letter::CHART_CIDS;
use crate::page::{Page, Tone};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};

/// The template; every value in it is escaped.
const TEMPLATE: &str = include_str!("page.html");

/// The HTML of `page`, with the inline pictures of these names, if there are any.
pub(super) fn render(page: &Page, pictures: Vec<&str>) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("page.html", TEMPLATE)?;
    let colour = format!("#{:06x}", page.tone.colour());
    let (badge, badge_text) = badge(page.tone);
    let chart = pictures.first().map(|cid| format!("cid:{cid}"));
    let dark = pictures.get(1).filter(|cid| **cid == CHART_CIDS.1).map(|cid| format!("cid:{cid}"));
    environment
        .get_template("page.html")?
        .render(context! { page => Serde(page), colour, badge, badge_text, chart, dark, title => page.title() })
}

/// Background and text of the status badge: a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
const fn badge(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Critical => ("#c62a2f", "#ffffff"),
        Tone::Warning => ("#ffd27a", "#4a2b00"),
        Tone::Info => ("#2b62d9", "#ffffff"),
        Tone::Good => ("#18794e", "#ffffff"),
        Tone::Neutral => ("#60646c", "#ffffff"),
    }
}
