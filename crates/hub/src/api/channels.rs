//! Channels: where pages go. Secrets are written and never shown.

mod trial;

use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, PageParams, check_if_match, etag};
use super::problem::{Fault, Problem};
use super::wire::body::{Object, patched, typed, without};
use super::wire::change::{self, Editor};
use crate::app::App;
use crate::files::Kind;
use crate::files::managed::Object as Managed;
use crate::page::rfc3339;
use crate::registry::{Holdings, quiet_hours};
use crate::schedule::QuietHours;
use crate::sealing::is_sealed;
use crate::{clock, ids};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nightbell_model::ChannelId;
use nightbell_notify::{ChannelConfig, Notifier};
use nightbell_store::{Change, ChannelRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest name, in characters.
const NAME_LIMIT: usize = 200;
/// What a GET shows that is not for writing.
const READ_ONLY: [&str; 7] = ["id", "broken", "broken_reason", "quiet_until", "managed_by", "created_at", "version"];
/// The most quiet hours of one channel.
const MOST_QUIET: usize = 20;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, change, remove)).merge(trial::routes())
}

/// A channel. Secrets read "set", and of a URL that is a secret only the host is shown.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelView {
    id: String,
    name: String,
    /// webhook, smtp, discord or slack
    kind: String,
    #[schema(value_type = Object)]
    config: Value,
    enabled: bool,
    /// Whether it refuses what it is sent.
    broken: bool,
    broken_reason: Option<String>,
    quiet_hours: Vec<QuietHours>,
    /// Until when it is quiet; null while it is not.
    quiet_until: Option<String>,
    /// The file that declares it, which alone may change it; null if none does.
    managed_by: Option<String>,
    created_at: String,
    version: u64,
}

/// A channel as it is written. A secret sent as it was shown stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChannelBody {
    name: String,
    /// webhook, smtp, discord or slack
    kind: String,
    /// Where to and how; its fields depend on the kind.
    #[schema(value_type = Object)]
    config: Value,
    #[serde(default = "yes")]
    #[schema(required = false)]
    enabled: bool,
    /// When its people are not to be woken; what they missed comes as one digest at the end.
    #[serde(default)]
    #[schema(required = false)]
    quiet_hours: Vec<QuietHours>,
}

const fn yes() -> bool {
    true
}

/// The stored configuration of a channel; empty if it cannot be opened.
fn config_of(row: &ChannelRow) -> Value {
    if is_sealed(&row.config_json) {
        return json!({});
    }
    serde_json::from_str(&row.config_json).unwrap_or_default()
}

fn view(holdings: &Holdings, row: &ChannelRow) -> ChannelView {
    let now = clock::now();
    let quiet = holdings.hush.quiet.get(&row.id).and_then(|windows| windows.iter().find(|window| window.holds(now)));
    ChannelView {
        id: row.id.to_string(),
        name: row.name.clone(),
        kind: row.kind.clone(),
        config: ChannelConfig::redacted(&row.kind, &config_of(row)),
        enabled: row.enabled,
        broken: row.broken.is_some(),
        broken_reason: row.broken.clone(),
        quiet_hours: quiet_hours(row),
        managed_by: holdings.settings.managed.file(Kind::Channel, row.id),
        quiet_until: quiet.map(|window| rfc3339(window.end)),
        created_at: rfc3339(row.created_at),
        version: row.version,
    }
}

fn find(app: &App, id: ChannelId) -> Result<ChannelRow, Problem> {
    app.registry.read().channels.get(&id).cloned().ok_or_else(|| Problem::not_found("channel"))
}

/// Understands a body; `old` is what it takes the place of.
fn read(notifier: Option<&Notifier>, body: ChannelBody, old: Option<&ChannelRow>) -> Result<ChannelRow, Problem> {
    let mut faults = Vec::new();
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control) {
        faults.push(Fault::new("/name", format!("a name has 1 to {NAME_LIMIT} characters and no control characters")));
    }
    let config = match old {
        Some(old) if old.kind != body.kind => {
            faults.push(Fault::new("/kind", format!("a channel stays what it is: this is a {}; make a new one", old.kind)));
            body.config
        }
        Some(old) => ChannelConfig::merge_secrets(&old.kind, &config_of(old), body.config),
        None => body.config,
    };
    let known = nightbell_notify::KINDS.contains(&body.kind.as_str());
    let base = if known { "/config" } else { "/kind" };
    let wrong = match ChannelConfig::parse(&body.kind, &config) {
        Ok(parsed) => notifier.and_then(|notifier| notifier.check_address(&parsed)).into_iter().collect(),
        Err(wrong) => wrong,
    };
    faults.extend(wrong.into_iter().map(|fault| Fault::new(format!("{base}{}", fault.pointer), fault.detail)));
    if body.quiet_hours.len() > MOST_QUIET {
        faults.push(Fault::new("/quiet_hours", format!("at most {MOST_QUIET} of them")));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let config_json = config.to_string();
    Ok(ChannelRow {
        id: old.map_or_else(|| ChannelId(ids::fresh()), |old| old.id),
        name: name.to_owned(),
        kind: body.kind,
        // Whoever changes where it leads believes that it works now.
        broken: old.filter(|old| old.config_json == config_json).and_then(|old| old.broken.clone()),
        config_json,
        enabled: body.enabled,
        created_at: old.map_or_else(clock::now, |old| old.created_at),
        version: old.map_or(1, |old| old.version + 1),
        quiet_json: serde_json::to_string(&body.quiet_hours).unwrap_or_else(|_| "[]".to_owned()),
    })
}

/// Understands a channel as a file declares it; `old` is what it takes the place of. Whether its address may be reached is not
/// looked at: that depends on the hub, which says so when it is spoken to.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub(crate) fn declared_channel(object: Object, old: Option<&ChannelRow>) -> Result<ChannelRow, Problem> {
    read(None, typed(object, &READ_ONLY)?, old)
}

/// A channel as it is written, but for its secrets.
pub(crate) fn shown_channel(row: &ChannelRow) -> Value {
    without(&view(&Holdings::default(), row), &READ_ONLY)
}

fn answer(app: &App, status: StatusCode, row: &ChannelRow) -> Response {
    (status, [(header::ETAG, etag(row.id, row.version))], Json(view(&app.registry.read(), row))).into_response()
}

async fn store(app: &App, editor: &Editor, action: &str, row: ChannelRow) -> Result<ChannelRow, Problem> {
    let taken = app.registry.read().channels.values().any(|other| other.id != row.id && other.name == row.name);
    if taken {
        return Err(Problem::conflict(format!("there is another channel called {:?}", row.name)));
    }
    let detail = serde_json::to_value(view(&app.registry.read(), &row)).unwrap_or_default();
    app.registry.apply(vec![Change::PutChannel(row.clone())], Some(editor.entry(action, row.id, &detail))).await?;
    Ok(row)
}

/// Lists channels, the oldest first
#[utoipa::path(get, path = "/channels", tag = "channels", params(PageParams), responses((status = 200, description = "All channels", body = Listing<ChannelView>)))]
async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Json<Listing<ChannelView>>, Problem> {
    let holdings = app.registry.read();
    params
        .page(
            holdings.channels.iter().map(|(id, row)| (id.to_string(), view(&holdings, row))),
            false,
            &["id", "name", "kind", "created_at", "enabled"],
        )
        .map(Json)
}

/// Makes a channel
#[utoipa::path(post, path = "/channels", tag = "channels", request_body = ChannelBody, responses((status = 201, description = "Made", body = ChannelView)))]
async fn create(State(app): State<Arc<App>>, editor: Editor, ApiJson(body): ApiJson<Object>) -> Result<Response, Problem> {
    let row = read(Some(&app.notifier), typed(body, &READ_ONLY)?, None)?;
    let _turn = change::turn().await;
    Ok(answer(&app, StatusCode::CREATED, &store(&app, &editor, "channel.create", row).await?))
}

/// Shows a channel
#[utoipa::path(get, path = "/channels/{id}", tag = "channels", params(("id" = String, Path, description = "Which channel")),
    responses((status = 200, description = "The channel; ETag is its version", body = ChannelView)))]
async fn show(State(app): State<Arc<App>>, ApiPath(id): ApiPath<ChannelId>) -> Result<Response, Problem> {
    Ok(answer(&app, StatusCode::OK, &find(&app, id)?))
}

/// Replaces a channel
#[utoipa::path(put, path = "/channels/{id}", tag = "channels", params(("id" = String, Path, description = "Which channel")),
    request_body = ChannelBody, responses((status = 200, description = "Replaced", body = ChannelView)))]
async fn replace(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<ChannelId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Object>,
) -> Result<Response, Problem> {
    put(&app, &editor, id, &headers, |_old| Ok(body)).await
}

/// Changes fields of a channel; what is left out stays
#[utoipa::path(patch, path = "/channels/{id}", tag = "channels", params(("id" = String, Path, description = "Which channel")),
    request_body(content = Object, description = "Any fields of a channel"), responses((status = 200, description = "Changed", body = ChannelView)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<ChannelId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Object>,
) -> Result<Response, Problem> {
    put(&app, &editor, id, &headers, |old| patched(&view(&app.registry.read(), old), body)).await
}

async fn put(
    app: &App,
    editor: &Editor,
    id: ChannelId,
    headers: &HeaderMap,
    body: impl FnOnce(&ChannelRow) -> Result<Object, Problem> + Send,
) -> Result<Response, Problem> {
    let _turn = change::turn().await;
    let old = find(app, id)?;
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Channel, id))?;
    check_if_match(headers, &etag(id, old.version))?;
    let row = read(Some(&app.notifier), typed(body(&old)?, &READ_ONLY)?, Some(&old))?;
    Ok(answer(app, StatusCode::OK, &store(app, editor, "channel.change", row).await?))
}

/// Removes a channel that no rule names; what waits on it is cancelled
#[utoipa::path(delete, path = "/channels/{id}", tag = "channels", params(("id" = String, Path, description = "Which channel")),
    responses((status = 204, description = "Removed")))]
async fn remove(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<ChannelId>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let _turn = change::turn().await;
    let row = find(&app, id)?;
    change::not_by_file(&app.registry.read(), &Managed::new(Kind::Channel, id))?;
    check_if_match(&headers, &etag(id, row.version))?;
    let users = rules_that_tell(&app, id);
    if !users.is_empty() {
        return Err(Problem::conflict(format!("rules still name this channel: {}; take it out of them first", users.join(", "))));
    }
    let entry = editor.entry("channel.delete", id, &json!({"name": row.name, "kind": row.kind}));
    app.registry.apply(vec![Change::DeleteChannel(id)], Some(entry)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn rules_that_tell(app: &App, id: ChannelId) -> Vec<String> {
    let holdings = app.registry.read();
    let rules = holdings.rules.values().map(|(rule, _)| rule);
    let telling =
        rules.filter(|rule| rule.channels.contains(&id) || rule.escalation.iter().any(|step| step.channels.contains(&id)));
    telling.map(|rule| rule.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(config: Value) -> ChannelBody {
        ChannelBody { name: "ops".to_owned(), kind: "webhook".to_owned(), config, enabled: true, quiet_hours: Vec::new() }
    }

    fn read(body: ChannelBody, old: Option<&ChannelRow>) -> Result<ChannelRow, Problem> {
        crate::wiring::install_tls_provider();
        let notifier = Notifier::new(nightbell_notify::NotifierOptions::default()).expect("a notifier");
        super::read(Some(&notifier), body, old)
    }

    #[test]
    fn a_secret_that_is_sent_as_shown_stays_and_nothing_shows_it() {
        let old =
            read(body(json!({"url": "https://example.org/in", "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"})), None)
                .expect("good");
        let shown = view(&Holdings::default(), &old).config;
        assert!(!shown.to_string().contains("whsec_"), "{shown}");
        let new = read(body(shown), Some(&old)).expect("good");
        assert_eq!((new.config_json, new.version), (old.config_json, 2));
    }

    #[test]
    fn faults_are_below_config_and_a_new_address_is_believed_to_work() {
        let Err(problem) = read(body(json!({"url": "nowhere", "colour": 1})), None) else { panic!("it is accepted") };
        let pointers: Vec<_> = problem.errors.iter().map(|fault| fault.pointer.as_str()).collect();
        assert!(pointers.contains(&"/config/url") && pointers.contains(&"/config/colour"), "{pointers:?}");
        let mut old = read(body(json!({"url": "https://example.org/in"})), None).expect("good");
        old.broken = Some("410".to_owned());
        assert!(read(body(json!({"url": "https://example.org/in"})), Some(&old)).expect("good").broken.is_some());
        assert!(read(body(json!({"url": "https://example.org/new"})), Some(&old)).expect("good").broken.is_none());
        let Err(inside) = read(body(json!({"url": "http://127.0.0.1/in"})), None) else { panic!("it is accepted") };
        assert_eq!(inside.errors[0].pointer, "/config/url", "what can never be reached is said at once");
    }
}
