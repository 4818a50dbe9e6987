//! Set-up, login and logout.

use super::access::{ABSOLUTE_MS, cookie_name, is_secure};
use super::extract::{ApiJson, Caller, Remote};
use super::problem::Problem;
use crate::app::App;
use crate::auth::token::{self, Kind};
use crate::auth::{Principal, password};
use crate::{clock, ids, operations};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use nightbell_model::Timestamp;
use nightbell_store::{AuditEntry, Change, Role, SessionRow, StoreError, TokenHash, UserRow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// After so many wrong passwords in the window, an account or an address has to wait.
const FAILURES: usize = 10;
/// The window.
const WINDOW_MS: i64 = 15 * 60_000;
/// How many accounts and addresses are remembered.
const REMEMBERED: usize = 10_000;

static FAILED: LazyLock<Mutex<HashMap<String, Vec<Timestamp>>>> = LazyLock::new(Mutex::default);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(setup_needed, set_up))
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(change_password))
}

/// Whether somebody has yet to set the hub up.
#[derive(Debug, Serialize, ToSchema)]
struct SetupState {
    needed: bool,
}

/// The first admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetupBody {
    /// The one-time key that the hub printed.
    key: String,
    username: String,
    password: String,
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    username: String,
    password: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    current: String,
    new: String,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    id: String,
    username: String,
    role: &'static str,
}

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    user: User,
}

type WithCookie<T> = (StatusCode, [(HeaderName, String); 1], Json<T>);

/// Says whether the hub waits to be set up
#[utoipa::path(get, path = "/setup", tag = "access", responses((status = 200, description = "Whether set-up is needed", body = SetupState)))]
async fn setup_needed(State(app): State<Arc<App>>) -> Json<SetupState> {
    Json(SetupState { needed: app.setup.is_needed() })
}

/// Makes the first admin with the one-time key
#[utoipa::path(post, path = "/setup", tag = "access", request_body = SetupBody,
    responses((status = 201, description = "The admin, logged in", body = Session)))]
async fn set_up(State(app): State<Arc<App>>, remote: Remote, ApiJson(body): ApiJson<SetupBody>) -> Result<WithCookie<Session>, Problem> {
    let now = clock::now();
    limit(&remote.0, now)?;
    if !app.setup.is_needed() {
        return Err(Problem::conflict("this hub is set up already; log in"));
    }
    if !app.setup.fits(&body.key) {
        failed(&remote.0, now);
        return Err(Problem::forbidden("this is not the set-up key; the hub prints the right one when it starts"));
    }
    let username = operations::username(&body.username).map_err(|why| Problem::invalid_field("/username", why.to_string()))?;
    operations::check_password(&body.password).map_err(|why| Problem::invalid_field("/password", why.to_string()))?;
    let password_phc = password::hash(body.password).await.map_err(|error| Problem::internal(&error))?;
    let user = UserRow { id: ids::fresh(), username, password_phc, role: Role::Admin, created_at: now };
    let (session, cookie) = new_session(&app, &user, now)?;
    let audit = entry(&user, "setup", &remote, now);
    let changes = vec![Change::PutFirstUser(user.clone()), Change::PutSession(session)];
    app.registry.apply(changes, Some(audit)).await?;
    app.setup.spend();
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(Session { user: show(&user) })))
}

/// Logs in
#[utoipa::path(post, path = "/auth/login", tag = "access", request_body = LoginBody,
    responses((status = 200, description = "Logged in; the answer sets the session cookie", body = Session)))]
async fn login(State(app): State<Arc<App>>, remote: Remote, ApiJson(body): ApiJson<LoginBody>) -> Result<WithCookie<Session>, Problem> {
    let now = clock::now();
    let name = body.username.trim().to_lowercase();
    let account = format!("account {name}");
    limit(&remote.0, now)?;
    limit(&account, now)?;
    let user = app.registry.read().users.values().find(|user| user.username == name).cloned();
    let fits = password::verify(body.password, user.as_ref().map(|user| user.password_phc.clone())).await;
    let Some(user) = user.filter(|_| fits) else {
        failed(&remote.0, now);
        failed(&account, now);
        return Err(Problem::unauthorized("user name or password is wrong"));
    };
    let (session, cookie) = new_session(&app, &user, now)?;
    let audit = entry(&user, "login", &remote, now);
    app.registry.apply(vec![Change::PutSession(session)], Some(audit)).await?;
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(Session { user: show(&user) })))
}

/// Logs out
#[utoipa::path(post, path = "/auth/logout", tag = "access", responses((status = 204, description = "Logged out")))]
async fn logout(State(app): State<Arc<App>>, caller: Caller) -> Result<(StatusCode, [(HeaderName, String); 1]), Problem> {
    if let Principal::User { session, .. } = caller.0 {
        match app.registry.apply(vec![Change::DeleteSession(session)], None).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(&app, "", 0))]))
}

/// Says who is logged in
#[utoipa::path(get, path = "/auth/me", tag = "access", responses((status = 200, description = "Who asks", body = Session)))]
async fn me(caller: Caller) -> Json<Session> {
    let user = match caller.0 {
        Principal::User { id, name, role, .. } => User { id: id.to_string(), username: name, role: role.name() },
        Principal::Token { id, name, .. } => User { id: id.to_string(), username: name, role: "token" },
    };
    Json(Session { user })
}

/// Changes one's own password; other sessions end
#[utoipa::path(put, path = "/auth/password", tag = "access", request_body = PasswordBody,
    responses((status = 200, description = "Changed; the answer sets a new session cookie", body = Session)))]
async fn change_password(State(app): State<Arc<App>>, caller: Caller, remote: Remote, ApiJson(body): ApiJson<PasswordBody>) -> Result<WithCookie<Session>, Problem> {
    let Principal::User { id, .. } = caller.0 else {
        return Err(Problem::forbidden("an API token has no password"));
    };
    let now = clock::now();
    let user = app.registry.read().users.get(&id).cloned().ok_or_else(|| Problem::not_found("user"))?;
    let account = format!("account {}", user.username);
    limit(&account, now)?;
    if !password::verify(body.current, Some(user.password_phc.clone())).await {
        failed(&account, now);
        return Err(Problem::invalid_field("/current", "this is not the current password"));
    }
    operations::check_password(&body.new).map_err(|why| Problem::invalid_field("/new", why.to_string()))?;
    let password_phc = password::hash(body.new).await.map_err(|error| Problem::internal(&error))?;
    let user = UserRow { password_phc, ..user };
    let (session, cookie) = new_session(&app, &user, now)?;
    let audit = entry(&user, "user.password", &remote, now);
    let changes = vec![Change::PutUser(user.clone()), Change::DeleteSessionsOf(user.id), Change::PutSession(session)];
    app.registry.apply(changes, Some(audit)).await?;
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(Session { user: show(&user) })))
}

fn show(user: &UserRow) -> User {
    User { id: user.id.to_string(), username: user.username.clone(), role: user.role.name() }
}

fn new_session(app: &App, user: &UserRow, now: Timestamp) -> Result<(SessionRow, String), Problem> {
    let (text, hash): (String, TokenHash) = token::mint(Kind::Session).map_err(|error| Problem::internal(&error))?;
    let row = SessionRow { hash, user: user.id, created_at: now, used_at: now, expires_at: now.plus_millis(ABSOLUTE_MS) };
    Ok((row, set_cookie(app, &text, ABSOLUTE_MS / 1000)))
}

fn set_cookie(app: &App, value: &str, max_age_s: i64) -> String {
    let secure = if is_secure(app) { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}", cookie_name(app))
}

fn entry(user: &UserRow, action: &str, remote: &Remote, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: format!("user:{}", user.username),
        action: action.to_owned(),
        object: user.id.to_string(),
        detail_json: "{}".to_owned(),
        address: remote.0.clone(),
    }
}

/// Refuses accounts and addresses with too many failures of late.
fn limit(who: &str, now: Timestamp) -> Result<(), Problem> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(times) = failed.get_mut(who) else { return Ok(()) };
    times.retain(|at| now.millis_since(*at) < WINDOW_MS);
    if times.len() < FAILURES {
        return Ok(());
    }
    let wait_ms = times.first().map_or(0, |oldest| WINDOW_MS - now.millis_since(*oldest));
    Err(Problem::too_many("too many wrong passwords; wait, or set a new one with `nightbell user password`", wait_ms.max(1000).unsigned_abs() / 1000))
}

fn failed(who: &str, now: Timestamp) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.len() >= REMEMBERED {
        failed.retain(|_, times| times.last().is_some_and(|at| now.millis_since(*at) < WINDOW_MS));
    }
    if failed.len() < REMEMBERED {
        failed.entry(who.to_owned()).or_default().push(now);
    }
}
