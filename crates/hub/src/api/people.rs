//! People: who may log in, as what. For admins.

use super::extract::{ApiJson, ApiPath, Caller, Listing, Remote};
use super::problem::Problem;
use crate::app::App;
use crate::auth::password;
use crate::{clock, ids, operations, page};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use nightbell_model::Ulid;
use nightbell_store::{AuditEntry, Change, Role, UserRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(change, remove))
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
struct Person {
    id: String,
    username: String,
    role: &'static str,
    created_at: String,
}

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    username: String,
    password: String,
    /// viewer, editor or admin
    role: String,
}

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonPatch {
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

fn show(user: &UserRow) -> Person {
    Person { id: user.id.to_string(), username: user.username.clone(), role: user.role.name(), created_at: page::rfc3339(user.created_at) }
}

/// Lists people
#[utoipa::path(get, path = "/users", tag = "access", responses((status = 200, description = "Everybody who can log in", body = Listing<Person>)))]
async fn list(State(app): State<Arc<App>>) -> Json<Listing<Person>> {
    Json(Listing::whole(app.registry.read().users.values().map(show).collect()))
}

/// Adds a person
#[utoipa::path(post, path = "/users", tag = "access", request_body = NewPerson, responses((status = 201, description = "Added", body = Person)))]
async fn create(State(app): State<Arc<App>>, caller: Caller, remote: Remote, ApiJson(body): ApiJson<NewPerson>) -> Result<(StatusCode, Json<Person>), Problem> {
    let username = operations::username(&body.username).map_err(|why| Problem::invalid_field("/username", why.to_string()))?;
    let role = role(&body.role)?;
    let password_phc = hashed(body.password).await?;
    if app.registry.read().users.values().any(|user| user.username == username) {
        return Err(Problem::conflict(format!("there is a user {username} already")));
    }
    let user = UserRow { id: ids::fresh(), username, password_phc, role, created_at: clock::now() };
    app.registry.apply(vec![Change::PutUser(user.clone())], Some(entry(&caller, &remote, "user.create", &user))).await?;
    Ok((StatusCode::CREATED, Json(show(&user))))
}

/// Changes a person's role or password; their sessions end
#[utoipa::path(patch, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "Which user")), request_body = PersonPatch,
    responses((status = 200, description = "Changed", body = Person)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    remote: Remote,
    ApiPath(id): ApiPath<Ulid>,
    ApiJson(body): ApiJson<PersonPatch>,
) -> Result<Json<Person>, Problem> {
    let mut user = find(&app, id)?;
    if let Some(wanted) = &body.role {
        user.role = role(wanted)?;
        if user.role != Role::Admin {
            keep_an_admin(&app, id)?;
        }
    }
    if let Some(password) = body.password {
        user.password_phc = hashed(password).await?;
    }
    let changes = vec![Change::PutUser(user.clone()), Change::DeleteSessionsOf(id)];
    app.registry.apply(changes, Some(entry(&caller, &remote, "user.change", &user))).await?;
    Ok(Json(show(&user)))
}

/// Removes a person; their sessions end
#[utoipa::path(delete, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "Which user")),
    responses((status = 204, description = "Removed")))]
async fn remove(State(app): State<Arc<App>>, caller: Caller, remote: Remote, ApiPath(id): ApiPath<Ulid>) -> Result<StatusCode, Problem> {
    let user = find(&app, id)?;
    keep_an_admin(&app, id)?;
    app.registry.apply(vec![Change::DeleteUser(id)], Some(entry(&caller, &remote, "user.delete", &user))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find(app: &App, id: Ulid) -> Result<UserRow, Problem> {
    app.registry.read().users.get(&id).cloned().ok_or_else(|| Problem::not_found("user"))
}

fn keep_an_admin(app: &App, without: Ulid) -> Result<(), Problem> {
    let left = app.registry.read().users.values().any(|user| user.id != without && user.role == Role::Admin);
    if left { Ok(()) } else { Err(Problem::conflict("this is the last admin; make another one first")) }
}

fn role(name: &str) -> Result<Role, Problem> {
    Role::from_name(name).ok_or_else(|| Problem::invalid_field("/role", format!("{name:?} is no role; roles are viewer, editor and admin")))
}

async fn hashed(text: String) -> Result<String, Problem> {
    operations::check_password(&text).map_err(|why| Problem::invalid_field("/password", why.to_string()))?;
    password::hash(text).await.map_err(|error| Problem::internal(&error))
}

fn entry(caller: &Caller, remote: &Remote, action: &str, user: &UserRow) -> AuditEntry {
    AuditEntry {
        at: clock::now(),
        actor: caller.0.actor(),
        action: action.to_owned(),
        object: user.id.to_string(),
        detail_json: serde_json::json!({"username": user.username, "role": user.role.name()}).to_string(),
        address: remote.0.clone(),
    }
}
