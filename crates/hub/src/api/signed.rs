//! The page that a link in a notification opens: one incident, to be read without a login on whatever is in one's hand at night.
//! The link's signature is the right to see it, and to see nothing else; the page needs no script.

mod html;

use super::extract::ApiPath;
use super::incidents::{self, PictureParams};
use super::problem::Problem;
use crate::app::App;
use crate::clock;
use crate::page::why;
use crate::signing::Verdict;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use html::{Line, Sheet};
use nightbell_model::{IncidentId, Timestamp, catalogue};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/i/{id}", get(show)).route("/i/{id}/chart.png", get(chart))
}

/// What stands in the link behind the incident.
#[derive(Debug, Deserialize)]
struct Right {
    /// The second at which it ends.
    e: i64,
    /// The signature.
    s: String,
    /// light or dark, for the picture
    #[serde(default)]
    theme: Option<String>,
}

/// The query of a link; a link without one is none of ours.
type MaybeRight = Result<Query<Right>, QueryRejection>;

fn judged(app: &App, id: &str, right: Option<&Right>) -> Verdict {
    match (app.links.signer(), right) {
        (Some(signer), Some(right)) => signer.judge(id, right.e, &right.s, clock::now()),
        _ => Verdict::Forged,
    }
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>, right: MaybeRight) -> Response {
    let right = right.ok().map(|Query(right)| right);
    let status = match judged(&app, &id, right.as_ref()) {
        Verdict::Good => StatusCode::OK,
        Verdict::Ended => StatusCode::GONE,
        Verdict::Forged => StatusCode::NOT_FOUND,
    };
    let (Ok(incident), Some(right), StatusCode::OK) = (id.parse::<IncidentId>(), right, status) else {
        return page(status, html::no_more(status == StatusCode::GONE, &app.links.login(&id)));
    };
    match sheet(&app, incident, &right).await {
        Ok(sheet) => page(StatusCode::OK, html::page(&sheet)),
        Err(problem) if problem.status == 404 => page(StatusCode::NOT_FOUND, html::no_more(false, &app.links.login(&id))),
        Err(problem) => problem.into_response(),
    }
}

async fn chart(State(app): State<Arc<App>>, ApiPath(id): ApiPath<IncidentId>, right: MaybeRight) -> Result<Response, Problem> {
    let Ok(Query(right)) = right else { return Err(Problem::not_found("incident")) };
    if judged(&app, &id.to_string(), Some(&right)) != Verdict::Good {
        return Err(Problem::not_found("incident"));
    }
    incidents::picture_of(app, id, PictureParams::themed(right.theme)).await
}

fn page(status: StatusCode, text: String) -> Response {
    let mut response = (status, Html(text)).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&html::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

/// What the page says, with the names and the time zone of now.
async fn sheet(app: &App, id: IncidentId, right: &Right) -> Result<Sheet, Problem> {
    let found = incidents::find(app, id).await?;
    let (record, top) = (&found.record, incidents::top_processes(app, &found));
    let holdings = app.registry.read();
    let zone = holdings.settings.timezone;
    let at = |moment: Timestamp| html::moment(moment, zone);
    let unit = catalogue::find(record.key.series.metric()).map_or("", |row| row.unit.name());
    let number = |value: f64| if value.is_finite() { format!("{} {unit}", html::number(value)) } else { "none".to_owned() };
    let mut facts = vec![
        ("Metric", record.key.series.to_string()),
        ("Value", number(record.value)),
        ("Worst", number(record.peak)),
        ("Threshold", format!("{} {}", record.comparison.name(), number(record.threshold))),
        ("Began", at(record.started_at)),
        ("Fired", at(record.fired_at)),
    ];
    facts.extend(record.resolved_at.map(|moment| ("Resolved", at(moment))));
    facts.extend(record.ack.as_ref().map(|ack| ("On it", format!("{} since {} {}", ack.by, at(ack.at), ack.note))));
    let timeline = found.events.iter().map(|logged| Line {
        at: at(logged.event.at),
        what: logged.event.kind.name().replace('_', " "),
        more: logged.event.reason.clone(),
    });
    let notes = found.notes().into_iter().map(|note| Line { at: note.at, what: note.by, more: note.text });
    Ok(Sheet {
        is_open: record.resolved_at.is_none(),
        is_stored: found.stored,
        severity: record.severity.name(),
        rule: record.rule_name.clone(),
        agent: super::wire::names::agent(&holdings, record.key.agent).name,
        why: why(record),
        facts,
        chart: format!("/i/{id}/chart.png?e={}&s={}", right.e, right.s),
        top,
        notes: notes.collect(),
        timeline: timeline.collect(),
        login: app.links.login(&id.to_string()),
        until: at(Timestamp::from_secs(right.e)),
    })
}
