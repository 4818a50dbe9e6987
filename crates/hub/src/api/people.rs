//! People: who may log in, as what. For admins.

use super::extract::{ApiJson, ApiPath, ApiQuery, Listing, PageParams};
use super::problem::Problem;
use super::wire::body::{Object, typed};
use super::wire::change::{Editor, turn};
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

/// What a GET shows that is not for writing.
const READ_ONLY: [&str; 2] = ["id", "created_at"];

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonPatch {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

fn show(user: &UserRow) -> Person {
    Person {
        id: user.id.to_string(),
        username: user.username.clone(),
        role: user.role.name(),
        created_at: page::rfc3339(user.created_at),
    }
}

/// Lists people
#[utoipa::path(get, path = "/users", tag = "access", params(PageParams), responses((status = 200, description = "Everybody who can log in", body = Listing<Person>)))]
async fn list(State(app): State<Arc<App>>, ApiQuery(params): ApiQuery<PageParams>) -> Result<Json<Listing<Person>>, Problem> {
    let holdings = app.registry.read();
    let rows = holdings.users.values().map(|user| (user.username.clone(), show(user)));
    params.page(rows, false, &["id", "username", "role", "created_at"]).map(Json)
}

/// Adds a person
#[utoipa::path(post, path = "/users", tag = "access", request_body = NewPerson, responses((status = 201, description = "Added", body = Person)))]
async fn create(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiJson(body): ApiJson<NewPerson>,
) -> Result<(StatusCode, Json<Person>), Problem> {
    let username = operations::username(&body.username)?;
    let role = role(&body.role)?;
    let password_phc = hashed(body.password).await?;
    let _turn = turn().await;
    unused(&app, &username)?;
    let user = UserRow { id: ids::fresh(), username, password_phc, role, created_at: clock::now() };
    app.registry.apply(vec![Change::PutUser(user.clone())], Some(entry(&editor, "user.create", &user))).await?;
    Ok((StatusCode::CREATED, Json(show(&user))))
}

/// Changes a person's name, role or password; their sessions end
#[utoipa::path(patch, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "Which user")), request_body = PersonPatch,
    responses((status = 200, description = "Changed", body = Person)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    ApiPath(id): ApiPath<Ulid>,
    ApiJson(body): ApiJson<Object>,
) -> Result<Json<Person>, Problem> {
    find(&app, id)?;
    let patch: PersonPatch = typed(body, &READ_ONLY)?;
    let username = patch.username.as_deref().map(operations::username).transpose()?;
    let role = patch.role.as_deref().map(role).transpose()?;
    let password_phc = match patch.password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    let _turn = turn().await;
    let before = find(&app, id)?;
    if let Some(name) = username.as_ref().filter(|name| **name != before.username) {
        unused(&app, name)?;
    }
    if role.is_some_and(|role| role != Role::Admin) {
        keep_an_admin(&app, id)?;
    }
    let user = UserRow {
        username: username.unwrap_or_else(|| before.username.clone()),
        role: role.unwrap_or(before.role),
        password_phc: password_phc.unwrap_or_else(|| before.password_phc.clone()),
        ..before.clone()
    };
    if user != before {
        let changes = vec![Change::PutUser(user.clone()), Change::DeleteSessionsOf(id)];
        app.registry.apply(changes, Some(entry(&editor, "user.change", &user))).await?;
    }
    Ok(Json(show(&user)))
}

/// Removes a person; their sessions end
#[utoipa::path(delete, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "Which user")),
    responses((status = 204, description = "Removed")))]
async fn remove(State(app): State<Arc<App>>, editor: Editor, ApiPath(id): ApiPath<Ulid>) -> Result<StatusCode, Problem> {
    let _turn = turn().await;
    let user = find(&app, id)?;
    keep_an_admin(&app, id)?;
    app.registry.apply(vec![Change::DeleteUser(id)], Some(entry(&editor, "user.delete", &user))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find(app: &App, id: Ulid) -> Result<UserRow, Problem> {
    app.registry.read().users.get(&id).cloned().ok_or_else(|| Problem::not_found("user"))
}

fn unused(app: &App, username: &str) -> Result<(), Problem> {
    let taken = app.registry.read().users.values().any(|user| user.username == username);
    if taken { Err(Problem::conflict(format!("there is a user {username} already"))) } else { Ok(()) }
}

fn keep_an_admin(app: &App, without: Ulid) -> Result<(), Problem> {
    let left = app.registry.read().users.values().any(|user| user.id != without && user.role == Role::Admin);
    if left { Ok(()) } else { Err(Problem::conflict("this is the last admin; make another one first")) }
}

fn role(name: &str) -> Result<Role, Problem> {
    Role::from_name(name)
        .ok_or_else(|| Problem::invalid_field("/role", format!("{name:?} is no role; roles are viewer, editor and admin")))
}

async fn hashed(text: String) -> Result<String, Problem> {
    operations::check_password(&text)?;
    password::hash(text).await.map_err(|error| Problem::internal(&error))
}

fn entry(editor: &Editor, action: &str, user: &UserRow) -> AuditEntry {
    editor.entry(action, user.id, &serde_json::json!({"username": user.username, "role": user.role.name()}))
}
