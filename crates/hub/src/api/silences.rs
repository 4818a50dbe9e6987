//! Silences: times in which matching pages are withheld.

use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, Moment, PageParams, Span};
use super::problem::{Fault, Problem};
use super::time::duration_text;
use super::wire::body::{Object, patched, typed, without};
use super::wire::change::{self, Editor};
use crate::app::App;
use crate::files::Kind;
use crate::files::managed::Object as Managed;
use crate::page::rfc3339;
use crate::port::valid_tag;
use crate::registry::{Holdings, silence_windows};
use crate::schedule::{Cron, Window};
use crate::{clock, ids};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use nightbell_alerts::{LabelConditions, MatchKind, Matcher, MuteKind, Severity};
use nightbell_model::{SeriesKey, Timestamp, Ulid};
use nightbell_store::{Change, Recurrence, SilenceRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a GET shows that is not for writing.
const READ_ONLY: [&str; 7] = ["id", "state", "active_until", "next", "managed_by", "created_by", "created_at"];
/// The shortest and the longest a silence that comes again may last each time, in milliseconds.
const SHORTEST_MS: i64 = 60_000;
const LONGEST_MS: i64 = 31 * 86_400_000;
/// So many of the next times are shown, and so far ahead they are looked for, in milliseconds.
const NEXT: usize = 5;
const NEXT_MS: i64 = 400 * 86_400_000;
/// The most conditions on labels.
const MOST_MATCHERS: usize = 20;
/// The longest comment, in characters.
const COMMENT_LIMIT: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change, remove))
}

/// A silence. Conditions that are null match everything.
#[derive(Debug, Serialize, ToSchema)]
struct SilenceView {
    id: String,
    /// pending, active or ended
    state: &'static str,
    /// Until when it is in force this time; null while it is not.
    active_until: Option<String>,
    /// silence or maintenance
    kind: &'static str,
    starts_at: String,
    /// Null is until somebody ends it.
    ends_at: Option<String>,
    /// When it comes again and again: its beginnings as five fields of cron.
    cron: Option<String>,
    /// The time zone of `cron`.
    timezone: Option<String>,
    /// How long it lasts each time.
    duration: Option<String>,
    /// The next times at which it will be in force.
    next: Vec<WindowView>,
    agent: Option<String>,
    tag: Option<String>,
    rule: Option<String>,
    metric: Option<String>,
    matchers: Vec<MatcherBody>,
    severity_up_to: Option<&'static str>,
    comment: String,
    /// The file that declares it, which alone may change it; null if none does.
    managed_by: Option<String>,
    created_by: String,
    created_at: String,
}

/// A stretch of time.
#[derive(Debug, Serialize, ToSchema)]
struct WindowView {
    starts_at: String,
    ends_at: String,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MatcherBody {
    label: String,
    /// `=`, `!=`, `=~` or `!~`
    op: String,
    value: String,
}

/// A silence as it is written. Conditions that are left out match everything.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    /// Only this agent.
    #[serde(default)]
    agent: Option<String>,
    /// Only agents with this tag.
    #[serde(default)]
    tag: Option<String>,
    /// Only this rule.
    #[serde(default)]
    rule: Option<String>,
    /// Only this metric or series.
    #[serde(default)]
    metric: Option<String>,
    /// Only series whose labels satisfy all of these.
    #[serde(default)]
    #[schema(required = false)]
    matchers: Vec<MatcherBody>,
    /// Only severities up to info, warning or critical; the worse pass.
    #[serde(default)]
    severity_up_to: Option<String>,
    /// From when on; now if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    starts_at: Option<Moment>,
    /// Until when.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    ends_at: Option<Moment>,
    /// For how long, such as `2h`; instead of `ends_at`, and with `cron` each time.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    duration: Option<Span>,
    /// When it begins, again and again: minute, hour, day of the month, month, day of the week.
    #[serde(default)]
    cron: Option<String>,
    /// The time zone of `cron`, such as Europe/Berlin; the hub's if left out.
    #[serde(default)]
    timezone: Option<String>,
    /// silence (if left out) or maintenance
    #[serde(default)]
    kind: Option<String>,
    /// Why.
    #[serde(default)]
    comment: Option<String>,
}

fn view(row: &SilenceRow, now: Timestamp) -> SilenceView {
    let ahead = Window { start: now, end: now.plus_millis(NEXT_MS) };
    let mut next = silence_windows(row, ahead, NEXT + 1);
    let current = next.iter().position(|window| window.holds(now)).map(|at| next.remove(at));
    next.truncate(NEXT);
    let state = match (&current, next.is_empty()) {
        (Some(_), _) => "active",
        (None, false) => "pending",
        (None, true) => "ended",
    };
    let again = row.recurrence.as_ref();
    let shown = |window: &Window| WindowView { starts_at: rfc3339(window.start), ends_at: rfc3339(window.end) };
    SilenceView {
        id: row.id.to_string(),
        state,
        active_until: current.filter(|window| window.end < Timestamp::MAX).map(|window| rfc3339(window.end)),
        kind: row.kind.name(),
        starts_at: rfc3339(row.starts_at),
        ends_at: (row.ends_at < Timestamp::MAX).then(|| rfc3339(row.ends_at)),
        cron: again.map(|again| again.cron.clone()),
        timezone: again.map(|again| again.timezone.clone()),
        duration: again.map(|again| duration_text(again.duration_ms)),
        next: if again.is_some() { next.iter().map(shown).collect() } else { Vec::new() },
        agent: row.agent.map(|id| id.to_string()),
        tag: row.tag.clone(),
        rule: row.rule.map(|id| id.to_string()),
        metric: row.series.clone(),
        matchers: row.matchers.iter().map(matcher_view).collect(),
        severity_up_to: row.up_to.map(Severity::name),
        comment: row.comment.clone(),
        managed_by: None,
        created_by: row.created_by.clone(),
        created_at: rfc3339(row.created_at),
    }
}

/// A silence as the API shows it.
fn shown(holdings: &Holdings, row: &SilenceRow, now: Timestamp) -> SilenceView {
    SilenceView { managed_by: holdings.settings.managed.file(Kind::Silence, row.id), ..view(row, now) }
}

fn matcher_view(matcher: &Matcher) -> MatcherBody {
    MatcherBody { label: matcher.label.clone(), op: matcher.kind.name().to_owned(), value: matcher.value.clone() }
}

/// Collects what is wrong while a body is understood.
struct Reading<'a> {
    holdings: &'a Holdings,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    /// What `read` makes of a text, if there is one; `why` if it makes nothing of it.
    fn optional<T>(
        &mut self,
        pointer: &str,
        text: Option<&str>,
        why: &str,
        read: impl FnOnce(&Holdings, &str) -> Option<T>,
    ) -> Option<T> {
        let text = text?;
        let found = read(self.holdings, text);
        if found.is_none() {
            self.faults.push(Fault::new(pointer, format!("{text:?}: {why}")));
        }
        found
    }

    /// When it comes again and again.
    fn recurrence(&mut self, body: &SilenceBody) -> Option<Recurrence> {
        let Some(cron) = &body.cron else {
            if body.timezone.is_some() {
                self.faults.push(Fault::new("/timezone", "only a silence with cron has a time zone"));
            }
            return None;
        };
        if let Err(error) = cron.parse::<Cron>() {
            self.faults.push(Fault::new("/cron", error.to_string()));
        }
        let timezone = body.timezone.clone().unwrap_or_else(|| self.holdings.settings.timezone.name().to_owned());
        if timezone.parse::<chrono_tz::Tz>().is_err() {
            self.faults.push(Fault::new("/timezone", format!("{timezone:?} is no time zone such as Europe/Berlin or UTC")));
        }
        let duration_ms = body.duration.map_or(0, |span| span.0);
        if !(SHORTEST_MS..=LONGEST_MS).contains(&duration_ms) {
            self.faults.push(Fault::new("/duration", "with cron, say how long it lasts each time: from 1m to 31d"));
        }
        Some(Recurrence { cron: cron.clone(), timezone, duration_ms })
    }

    /// The conditions on labels.
    fn matchers(&mut self, bodies: &[MatcherBody]) -> Vec<Matcher> {
        if bodies.len() > MOST_MATCHERS {
            self.faults.push(Fault::new("/matchers", format!("at most {MOST_MATCHERS}")));
        }
        let mut matchers = Vec::with_capacity(bodies.len());
        for (at, body) in bodies.iter().enumerate() {
            match MatchKind::from_name(&body.op) {
                Some(kind) => matchers.push(Matcher { label: body.label.clone(), kind, value: body.value.clone() }),
                None => self.faults.push(Fault::new(format!("/matchers/{at}/op"), "must be =, !=, =~ or !~")),
            }
        }
        for (at, matcher) in matchers.iter().enumerate() {
            if let Some(why) = LabelConditions::fault(matcher) {
                self.faults.push(Fault::new(format!("/matchers/{at}/value"), why));
            }
        }
        matchers
    }

    /// The end of a silence; one that comes again needs none.
    fn end(&mut self, body: &SilenceBody, starts_at: Timestamp, now: Timestamp) -> Timestamp {
        if body.cron.is_some() {
            let end = body.ends_at.map_or(Timestamp::MAX, |end| end.0);
            if end <= starts_at.max(now) {
                self.faults.push(Fault::new("/ends_at", "the end must lie after the start, and in the future"));
            }
            return end;
        }
        let ends_at = match (body.ends_at, body.duration) {
            (Some(end), None) => end.0,
            (None, Some(span)) => starts_at.plus_millis(span.0),
            (None, None) => {
                self.faults.push(Fault::new("/ends_at", "is missing: say ends_at or duration"));
                return starts_at;
            }
            (Some(_), Some(_)) => {
                self.faults.push(Fault::new("/duration", "say either ends_at or duration"));
                return starts_at;
            }
        };
        let pointer = if body.duration.is_some() { "/duration" } else { "/ends_at" };
        if ends_at <= starts_at {
            self.faults.push(Fault::new(pointer, "the end must lie after the start"));
        } else if ends_at <= now {
            self.faults.push(Fault::new(pointer, "the end lies in the past: nothing would be silenced"));
        }
        ends_at
    }
}

/// Understands a body. `old` is what it takes the place of.
fn read(
    holdings: &Holdings,
    body: &SilenceBody,
    author: &str,
    old: Option<&SilenceRow>,
    now: Timestamp,
) -> Result<SilenceRow, Problem> {
    let mut reading = Reading { holdings, faults: Vec::new() };
    let starts_at = body.starts_at.map_or(now, |start| start.0);
    let row = SilenceRow {
        id: old.map_or_else(ids::fresh, |old| old.id),
        kind: reading
            .optional("/kind", body.kind.as_deref(), "must be silence or maintenance", |_, name| {
                MuteKind::from_name(name).filter(|kind| *kind != MuteKind::QuietHours)
            })
            .unwrap_or(MuteKind::Silence),
        starts_at,
        ends_at: reading.end(body, starts_at, now),
        rule: reading.optional("/rule", body.rule.as_deref(), "there is no such rule", |holdings, text| {
            text.parse().ok().filter(|id| holdings.rules.contains_key(id))
        }),
        agent: reading.optional("/agent", body.agent.as_deref(), "there is no such agent", |holdings, text| {
            text.parse().ok().filter(|id| holdings.agents.contains_key(id))
        }),
        tag: reading.optional("/tag", body.tag.as_deref(), "is no tag", |_, tag| valid_tag(tag).then(|| tag.to_owned())),
        series: reading.optional("/metric", body.metric.as_deref(), "is no metric or series key", |_, text| {
            text.parse::<SeriesKey>().ok().map(|key| key.to_string())
        }),
        up_to: reading.optional(
            "/severity_up_to",
            body.severity_up_to.as_deref(),
            "must be info, warning or critical",
            |_, name| Severity::from_name(name),
        ),
        comment: body.comment.clone().unwrap_or_default(),
        created_by: old.map_or_else(|| author.to_owned(), |old| old.created_by.clone()),
        created_at: old.map_or(now, |old| old.created_at),
        recurrence: reading.recurrence(body),
        matchers: reading.matchers(&body.matchers),
    };
    if row.comment.chars().count() > COMMENT_LIMIT {
        reading.faults.push(Fault::new("/comment", format!("at most {COMMENT_LIMIT} characters")));
    }
    if reading.faults.is_empty() { Ok(row) } else { Err(Problem::invalid(reading.faults)) }
}

/// Understands a silence as a file declares it; `old` is what it takes the place of. One that has ended may go on standing there,
/// and one that does not say when it begins began when it was first applied.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub(crate) fn declared_silence(
    holdings: &Holdings,
    mut object: Object,
    old: Option<&SilenceRow>,
    now: Timestamp,
) -> Result<SilenceRow, Problem> {
    let begun = old.map_or(now, |old| old.starts_at);
    object.entry("starts_at").or_insert_with(|| rfc3339(begun).into());
    let body: SilenceBody = typed(object, &READ_ONLY)?;
    read(holdings, &body, "", old, Timestamp::MIN)
}

/// A silence as it is written.
pub(crate) fn shown_silence(row: &SilenceRow) -> serde_json::Value {
    without(&view(row, row.starts_at), &READ_ONLY)
}

fn find(app: &App, id: Ulid) -> Result<SilenceRow, Problem> {
    app.registry.read().silences.get(&id).cloned().ok_or_else(|| Problem::not_found("silence"))
}

async fn put(app: &App, editor: &Editor, action: &str, row: SilenceRow) -> Result<SilenceView, Problem> {
    let view = view(&row, clock::now());
    let detail = serde_json::to_value(&view).unwrap_or_default();
    app.registry.apply(vec![Change::PutSilence(row.clone())], Some(editor.entry(action, row.id, &detail))).await?;
    Ok(view)
}

/// Lists silences, the newest first
#[utoipa::path(get, path = "/silences", tag = "silences", params(PageParams), responses((status = 200, description = "All silences", body = Listing<SilenceView>)))]
async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Json<Listing<SilenceView>>, Problem> {
    let now = clock::now();
    let holdings = app.registry.read();
    let rows = holdings.silences.iter().map(|(id, row)| (id.to_string(), shown(&holdings, row, now)));
    params.page(rows, true, &["id", "state", "kind", "starts_at", "ends_at", "created_at"]).map(Json)
}

/// Makes a silence
#[utoipa::path(post, path = "/silences", tag = "silences", request_body = SilenceBody, responses((status = 201, description = "Made", body = SilenceView)))]
async fn create(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiJson(body): ApiJson<Object>,
) -> Result<(StatusCode, Json<SilenceView>), Problem> {
    let body: SilenceBody = typed(body, &READ_ONLY)?;
    let _turn = change::turn().await;
    let row = read(&app.registry.read(), &body, &editor.name(), None, clock::now())?;
    Ok((StatusCode::CREATED, Json(put(&app, &editor, "silence.create", row).await?)))
}

/// Shows a silence
#[utoipa::path(get, path = "/silences/{id}", tag = "silences", params(("id" = String, Path, description = "Which silence")),
    responses((status = 200, description = "The silence", body = SilenceView)))]
async fn show(State(app): State<Arc<App>>, ApiPath(id): ApiPath<Ulid>) -> Result<Json<SilenceView>, Problem> {
    let row = find(&app, id)?;
    Ok(Json(shown(&app.registry.read(), &row, clock::now())))
}

/// Changes a silence; what is left out stays, and a duration counts from its start
#[utoipa::path(patch, path = "/silences/{id}", tag = "silences", params(("id" = String, Path, description = "Which silence")),
    request_body = SilenceBody, responses((status = 200, description = "Changed", body = SilenceView)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<Ulid>,
    ApiJson(body): ApiJson<Object>,
) -> Result<Json<SilenceView>, Problem> {
    let _turn = change::turn().await;
    let (old, now) = (find(&app, id)?, clock::now());
    let replaces_end = body.contains_key("duration") && !body.contains_key("ends_at") && old.recurrence.is_none();
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Silence, id))?;
    let mut merged = patched(&view(&old, now), body)?;
    if replaces_end {
        merged.remove("ends_at");
    }
    let body: SilenceBody = typed(merged, &READ_ONLY)?;
    let row = read(&app.registry.read(), &body, &editor.name(), Some(&old), now)?;
    Ok(Json(put(&app, &editor, "silence.change", row).await?))
}

/// Ends a silence
#[utoipa::path(delete, path = "/silences/{id}", tag = "silences", params(("id" = String, Path, description = "Which silence")),
    responses((status = 204, description = "Ended")))]
async fn remove(State(app): State<Arc<App>>, editor: Editor, ApiPath(id): ApiPath<Ulid>) -> Result<StatusCode, Problem> {
    let _turn = change::turn().await;
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Silence, id))?;
    let detail = serde_json::to_value(view(&find(&app, id)?, clock::now())).unwrap_or_default();
    app.registry.apply(vec![Change::DeleteSilence(id)], Some(editor.entry("silence.delete", id, &detail))).await?;
    Ok(StatusCode::NO_CONTENT)
}
