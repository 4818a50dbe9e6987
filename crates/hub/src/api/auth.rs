//! Set-up, login and logout.

use super::access::{ABSOLUTE_MS, cookie_name, is_alive, is_secure};
use super::extract::{ApiJson, Caller, Remote};
use super::problem::Problem;
use super::wire::change::turn;
use crate::app::App;
use crate::auth::token::{self, Kind};
use crate::auth::{Principal, attempts, password};
use crate::{clock, ids, operations};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use nightbell_model::Timestamp;
use nightbell_store::{AuditEntry, Change, Role, SessionRow, StoreError, TokenHash, UserRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
async fn set_up(
    State(app): State<Arc<App>>,
    remote: Remote,
    ApiJson(body): ApiJson<SetupBody>,
) -> Result<WithCookie<Session>, Problem> {
    let now = clock::now();
    let address = attempts::address(&remote.0);
    admit(&app, &[&address], now)?;
    if !app.setup.is_needed() {
        return Err(Problem::conflict("this hub is set up already; log in"));
    }
    if !app.setup.fits(&body.key) {
        app.attempts.failed(&address, now);
        return Err(Problem::forbidden("this is not the set-up key; the hub prints the right one when it starts"));
    }
    let username = operations::username(&body.username)?;
    operations::check_password(&body.password)?;
    let password_phc = password::hash(body.password).await.map_err(|error| Problem::internal(&error))?;
    let user = UserRow { id: ids::fresh(), username, password_phc, role: Role::Admin, created_at: now };
    let (session, cookie) = new_session(&app, &user, now)?;
    let audit = entry(&user, "setup", &remote, now);
    let changes = vec![Change::PutFirstUser(user.clone()), Change::PutSession(session)];
    let _turn = turn().await;
    app.registry.apply(changes, Some(audit)).await?;
    app.setup.spend();
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(Session { user: show(&user) })))
}

/// Logs in
#[utoipa::path(post, path = "/auth/login", tag = "access", request_body = LoginBody,
    responses((status = 200, description = "Logged in; the answer sets the session cookie", body = Session)))]
async fn login(
    State(app): State<Arc<App>>,
    remote: Remote,
    ApiJson(body): ApiJson<LoginBody>,
) -> Result<WithCookie<Session>, Problem> {
    // What cannot be a name is nobody's, and takes as long as any other.
    let name = operations::username(&body.username).unwrap_or_default();
    let (address, account) = (attempts::address(&remote.0), attempts::account(&name));
    admit(&app, &[&address, &account], clock::now())?;
    let known = app.registry.read().users.values().find(|user| user.username == name).cloned();
    let fits = password::verify(body.password, known.as_ref().map(|user| user.password_phc.clone())).await;
    let now = clock::now();
    // Many may have been let in at once, and have failed while this one waited for its turn.
    admit(&app, &[&address, &account], now)?;
    let Some(user) = known.filter(|_| fits) else {
        app.attempts.failed(&address, now);
        app.attempts.failed(&account, now);
        return Err(Problem::unauthorized("user name or password is wrong"));
    };
    let (session, cookie) = new_session(&app, &user, now)?;
    let audit = entry(&user, "login", &remote, now);
    let _turn = turn().await;
    if app.registry.read().users.get(&user.id) != Some(&user) {
        return Err(Problem::unauthorized("user name or password is wrong"));
    }
    let mut changes = ended_sessions(&app, now);
    changes.push(Change::PutSession(session));
    app.registry.apply(changes, Some(audit)).await?;
    app.attempts.forget(&account);
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(Session { user: show(&user) })))
}

/// Sessions that have ended by themselves are of no more use to anybody: each login clears them away.
fn ended_sessions(app: &App, now: Timestamp) -> Vec<Change> {
    let holdings = app.registry.read();
    holdings
        .sessions
        .values()
        .filter(|session| !is_alive(session, now))
        .map(|session| Change::DeleteSession(session.hash))
        .collect()
}

/// Logs out
#[utoipa::path(post, path = "/auth/logout", tag = "access", responses((status = 204, description = "Logged out")))]
async fn logout(State(app): State<Arc<App>>, caller: Caller) -> Result<(StatusCode, [(HeaderName, String); 1]), Problem> {
    if let Principal::User { session, .. } = caller.0 {
        let _turn = turn().await;
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
async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    remote: Remote,
    ApiJson(body): ApiJson<PasswordBody>,
) -> Result<WithCookie<Session>, Problem> {
    let Principal::User { id, .. } = caller.0 else {
        return Err(Problem::forbidden("an API token has no password"));
    };
    let now = clock::now();
    let user = app.registry.read().users.get(&id).cloned().ok_or_else(|| Problem::not_found("user"))?;
    let account = attempts::account(&user.username);
    admit(&app, &[&account], now)?;
    if !password::verify(body.current, Some(user.password_phc.clone())).await {
        app.attempts.failed(&account, now);
        return Err(Problem::invalid_field("/current", "this is not the current password"));
    }
    operations::check_password(&body.new).map_err(|why| Problem::invalid_field("/new", why.to_string()))?;
    let password_phc = password::hash(body.new).await.map_err(|error| Problem::internal(&error))?;
    let _turn = turn().await;
    if app.registry.read().users.get(&id) != Some(&user) {
        return Err(Problem::conflict("this account was changed in the meantime; log in again"));
    }
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
fn admit(app: &App, keys: &[&str], now: Timestamp) -> Result<(), Problem> {
    let Some(wait_ms) = keys.iter().filter_map(|key| app.attempts.wait_ms(key, now)).max() else { return Ok(()) };
    let detail = "too many wrong passwords; wait, or set a new one with `nightbell user password`";
    Err(Problem::too_many(detail, wait_ms.max(1).unsigned_abs().div_ceil(1000)))
}
