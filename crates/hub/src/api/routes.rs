//! Routes: whom rules without channels of their own tell, by severity, tag, rule and time of day.

use super::extract::{ApiJson, check_if_match, etag_of};
use super::problem::{Fault, Problem};
use super::wire::body::{Object, typed};
use super::wire::change::{Editor, not_by_file, turn};
use crate::app::App;
use crate::files::managed::Object as Managed;
use crate::port::valid_tag;
use crate::registry::{Holdings, ROUTES};
use crate::routing::{self, Hours, Route};
use crate::schedule::Weekday;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use nightbell_alerts::Severity;
use nightbell_store::Change;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most routes there can be, and the most entries of one list.
const MOST: usize = 200;
/// What a GET shows that is not for writing.
const READ_ONLY: [&str; 1] = ["managed_by"];

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// All routes, in the order in which they are asked. While there is none, rules without channels tell every channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoutesBody {
    items: Vec<RouteBody>,
}

/// All routes as they are shown.
#[derive(Debug, Serialize, ToSchema)]
struct RoutesView {
    #[serde(flatten)]
    routes: RoutesBody,
    /// The file that declares them, which alone may change them; null if none does.
    managed_by: Option<String>,
}

/// One route. The first that fits decides; conditions that are empty are met by everything.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RouteBody {
    /// Only these severities: info, warning, critical.
    #[serde(default)]
    #[schema(required = false)]
    severities: Vec<String>,
    /// Only agents with one of these tags.
    #[serde(default)]
    #[schema(required = false)]
    tags: Vec<String>,
    /// Only these rules.
    #[serde(default)]
    #[schema(required = false)]
    rules: Vec<String>,
    /// Only what fires in these hours.
    #[serde(default)]
    when: Option<HoursBody>,
    /// Whom to tell; nobody is an answer too.
    channels: Vec<String>,
    /// Whether routes after this one are asked as well.
    #[serde(default, rename = "continue")]
    #[schema(required = false)]
    goes_on: bool,
}

/// Hours of the day, on certain days.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HoursBody {
    /// The days on which they begin; empty for every day.
    #[serde(default)]
    #[schema(required = false)]
    weekdays: Vec<Weekday>,
    /// When they begin, such as 22:00.
    from: String,
    /// When they end, the next day if that is not later.
    to: String,
    /// The time zone of both; the hub's if left out.
    #[serde(default)]
    timezone: Option<String>,
}

type WithEtag = ([(HeaderName, String); 1], Json<RoutesView>);

fn shown(route: &Route) -> RouteBody {
    RouteBody {
        severities: route.severities.iter().map(|severity| severity.name().to_owned()).collect(),
        tags: route.tags.clone(),
        rules: route.rules.iter().map(ToString::to_string).collect(),
        when: route.when.as_ref().map(|hours| HoursBody {
            weekdays: hours.weekdays.clone(),
            from: hours.from.to_string(),
            to: hours.to.to_string(),
            timezone: hours.timezone.map(|zone| zone.name().to_owned()),
        }),
        channels: route.channels.iter().map(ToString::to_string).collect(),
        goes_on: route.goes_on,
    }
}

fn all(holdings: &Holdings) -> RoutesBody {
    RoutesBody { items: holdings.settings.routes.iter().map(shown).collect() }
}

fn answer(holdings: &Holdings) -> WithEtag {
    let routes = all(holdings);
    let managed_by = holdings.settings.managed.get(&Managed::routes()).map(|source| source.file.clone());
    ([(header::ETAG, etag(&routes))], Json(RoutesView { routes, managed_by }))
}

fn etag(body: &RoutesBody) -> String {
    etag_of("routes", body)
}

/// Collects what is wrong while routes are understood.
struct Reading<'a> {
    /// What ids must stand for; `None` where that was seen to.
    holdings: Option<&'a Holdings>,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    /// What `read` makes of each of `texts`; `why` for those it makes nothing of.
    fn each<T>(&mut self, at: &str, texts: &[String], why: &str, read: impl Fn(Option<&Holdings>, &str) -> Option<T>) -> Vec<T> {
        if texts.len() > MOST {
            self.faults.push(Fault::new(at, format!("at most {MOST}")));
        }
        let mut found = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match read(self.holdings, text) {
                Some(one) => found.push(one),
                None => self.faults.push(Fault::new(format!("{at}/{index}"), format!("{text:?}: {why}"))),
            }
        }
        found
    }

    fn hours(&mut self, at: &str, body: &HoursBody) -> Option<Hours> {
        let mut time = |field: &str, text: &str| match text.parse() {
            Ok(time) => Some(time),
            Err(why) => {
                self.faults.push(Fault::new(format!("{at}/{field}"), why));
                None
            }
        };
        let (from, to) = (time("from", &body.from), time("to", &body.to));
        let timezone = match body.timezone.as_ref().map(|zone| zone.parse()) {
            None => None,
            Some(Ok(zone)) => Some(zone),
            Some(Err(_)) => {
                self.faults.push(Fault::new(format!("{at}/timezone"), "is no time zone such as Europe/Berlin or UTC"));
                None
            }
        };
        Some(Hours { weekdays: body.weekdays.clone(), from: from?, to: to?, timezone })
    }

    fn route(&mut self, at: &str, body: &RouteBody) -> Route {
        let severities = "must be info, warning or critical";
        Route {
            severities: self.each(&format!("{at}/severities"), &body.severities, severities, |_, name| Severity::from_name(name)),
            tags: self.each(&format!("{at}/tags"), &body.tags, "is no tag", |_, tag| valid_tag(tag).then(|| tag.to_owned())),
            rules: self.each(&format!("{at}/rules"), &body.rules, "there is no such rule", |holdings, id| {
                id.parse().ok().filter(|id| holdings.is_none_or(|holdings| holdings.rules.contains_key(id)))
            }),
            when: body.when.as_ref().and_then(|hours| self.hours(&format!("{at}/when"), hours)),
            channels: self.each(&format!("{at}/channels"), &body.channels, "there is no such channel", |holdings, id| {
                id.parse().ok().filter(|id| holdings.is_none_or(|holdings| holdings.channels.contains_key(id)))
            }),
            goes_on: body.goes_on,
        }
    }
}

fn read(holdings: Option<&Holdings>, body: &RoutesBody) -> Result<Vec<Route>, Problem> {
    let mut reading = Reading { holdings, faults: Vec::new() };
    if body.items.len() > MOST {
        reading.faults.push(Fault::new("/items", format!("at most {MOST}")));
    }
    let routes = body.items.iter().enumerate().map(|(at, item)| reading.route(&format!("/items/{at}"), item)).collect();
    if reading.faults.is_empty() { Ok(routes) } else { Err(Problem::invalid(reading.faults)) }
}

/// Understands routes as files declare them; what their ids stand for has been seen to.
///
/// # Errors
/// Everything that is wrong with them, by field.
pub(crate) fn declared_routes(items: Vec<Value>) -> Result<Vec<Route>, Problem> {
    let body = Object::from_iter([("items".to_owned(), Value::Array(items))]);
    read(None, &typed(body, &[])?)
}

/// Routes as they are written.
pub(crate) fn shown_routes(routes: &[Route]) -> Vec<Value> {
    routes.iter().map(|route| serde_json::to_value(shown(route)).unwrap_or_default()).collect()
}

/// Shows whom rules without channels of their own tell
#[utoipa::path(get, path = "/routes", tag = "channels", responses((status = 200, description = "All routes, in their order", body = RoutesView)))]
async fn show(State(app): State<Arc<App>>) -> WithEtag {
    answer(&app.registry.read())
}

/// Replaces all routes
#[utoipa::path(put, path = "/routes", tag = "channels", request_body = RoutesBody, responses((status = 200, description = "Replaced", body = RoutesView)))]
async fn change(
    State(app): State<Arc<App>>,
    editor: Editor,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Object>,
) -> Result<WithEtag, Problem> {
    let body: RoutesBody = typed(body, &READ_ONLY)?;
    let _turn = turn().await;
    let routes = {
        let holdings = app.registry.read();
        check_if_match(&headers, &etag(&all(&holdings)))?;
        not_by_file(&holdings, &Managed::routes())?;
        read(Some(&holdings), &body)?
    };
    let audit = editor.entry("routes.change", "routes", &serde_json::to_value(&body).unwrap_or_default());
    let change = Change::PutSetting { key: ROUTES.to_owned(), value: routing::write(&routes) };
    app.registry.apply(vec![change], Some(audit)).await?;
    Ok(answer(&app.registry.read()))
}
