//! What the hub and the browser rely on, checked on the files really embedded.

use super::{Asset, CSP, Files, asset, index};

fn text(asset: &Asset) -> String {
    String::from_utf8(asset.bytes.to_vec()).expect("a text asset is UTF-8")
}

/// The values of every `src="/…"` and `href="/…"` in the index page.
fn references(html: &str) -> Vec<String> {
    html.split(['"'])
        .collect::<Vec<_>>()
        .windows(2)
        .filter(|pair| pair[0].ends_with("src=") || pair[0].ends_with("href="))
        .map(|pair| pair[1].to_owned())
        .filter(|path| !path.starts_with("/api/"))
        .collect()
}

#[test]
fn the_index_is_a_page_that_is_asked_for_again() {
    let page = index();
    assert_eq!(page.content_type, "text/html; charset=utf-8");
    assert!(!page.immutable && !page.gzip);
    let wanted = if cfg!(ui_built) { "<div id=\"app\">" } else { "API complete, UI not included" };
    assert!(text(&page).contains(wanted), "{}", text(&page));
}

#[test]
fn every_file_the_index_names_is_embedded() {
    let html = text(&index());
    let names = references(&html);
    assert_eq!(cfg!(ui_built), !names.is_empty());
    for name in names {
        assert!(name.starts_with('/'), "{name} is not of this origin");
        let file = asset(&name, false).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(file.immutable, name.starts_with("/assets/"), "{name}");
        assert_ne!(file.content_type, "application/octet-stream", "{name}");
    }
}

#[test]
fn gzip_is_answered_only_to_those_who_take_it_and_has_its_own_validator() {
    for name in Files::iter().filter(|name| name.ends_with(".gz")) {
        let path = name.trim_end_matches(".gz");
        let plain = asset(path, false).expect("the plain file stands beside its twin");
        let packed = asset(path, true).expect("the twin exists");
        assert!(packed.gzip && !plain.gzip, "{path}");
        assert_eq!(packed.bytes[..2], [0x1f, 0x8b], "{path} is not gzip");
        assert!(packed.bytes.len() < plain.bytes.len(), "{path}");
        assert_ne!(packed.etag, plain.etag, "{path}");
        assert_eq!(packed.content_type, plain.content_type, "{path}");
        assert!(asset(&name, true).is_none(), "{name} must not be served by itself");
    }
}

#[test]
fn what_is_no_file_is_left_to_the_caller() {
    for path in ["", "/", "/h/01J", "/../Cargo.toml", "assets", "/assets/", "/nope.js"] {
        assert!(asset(path, true).is_none(), "{path:?}");
    }
}

#[test]
fn validators_are_quoted_and_steady() {
    let (first, second) = (index(), index());
    assert_eq!(first.etag, second.etag);
    assert!(first.etag.starts_with('"') && first.etag.ends_with('"') && first.etag.len() > 10);
}

#[test]
fn the_page_obeys_its_own_policy() {
    assert!(CSP.starts_with("default-src 'none'"));
    assert!(!CSP.contains("unsafe") && !CSP.contains('\n') && !CSP.contains("  "));
    let html = text(&index());
    assert!(!html.contains("style="), "inline style");
    assert!(!html.contains("<style"), "inline style sheet");
    for script in html.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap_or_default();
        assert!(tag.contains("src="), "inline script: {tag}");
    }
    assert!(!html.contains("://"), "another origin is named");
}
