//! Why a rule pages, and why it does not: what the evaluator says of each series, and what only the hub knows of its channels.

use super::trouble::{RECENT_MS, Trouble, troubles};
use crate::api::events::id_in_query;
use crate::api::extract::{ApiPath, ApiQuery, Listing};
use crate::api::problem::Problem;
use crate::api::wire::names::{self, Named, labels};
use crate::app::App;
use crate::clock;
use crate::fleet::{Fleet, Vitals};
use crate::page::{instance_name, rfc3339};
use crate::registry::Holdings;
use crate::routing;
use axum::Json;
use axum::extract::State;
use nightbell_alerts::explain::{FIRING, absence, firing, reasons};
use nightbell_alerts::matching::Filter;
use nightbell_alerts::{
    Aggregate, Evaluator, EventKind, IncidentRecord, InstanceView, Outlook, Reason, Rule, State as AlertState, Transform,
};
use nightbell_model::{AgentId, ChannelId, IncidentId, RuleId, SeriesKey, Timestamp, catalogue};
use nightbell_store::{EventQuery, LoggedEvent};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most instances that one explanation lists.
const MOST_INSTANCES: usize = 1_000;
/// How many of the newest withheld pages are looked at for those that were too short.
const WITHHELD: usize = 100;
/// Why the store's log says that a page was not sent.
const TOO_SHORT: &str = "too short";

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// On which agent.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExplainParams {
    /// Only on this agent; it is explained even where the rule does not apply to it.
    #[serde(default)]
    agent: Option<String>,
}

/// One series under a rule, and why it is as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explained {
    agent: Named,
    metric: String,
    labels: BTreeMap<String, String>,
    /// ok, pending, firing or nodata
    state: &'static str,
    since: String,
    /// What is compared: of a rate the change, of a forecast what it will be.
    value: Option<f64>,
    /// What it is compared with now, a level already looked up.
    threshold: Option<f64>,
    /// How many breaching samples there were since the breach began, until it fired.
    samples: u32,
    last_sample_at: Option<String>,
    clear_since: Option<String>,
    incident: Option<String>,
    /// Where the series of a forecast is heading.
    trend: Option<TrendView>,
    /// Its samples stopped, or its agent is offline.
    stale: bool,
    /// What withholds its pages now.
    muted: Vec<&'static str>,
    cooldown_until: Option<String>,
    /// When something more may be said of it, if nothing changes.
    next_notice_at: Option<String>,
    /// Every reason for what is said and what is not.
    reasons: Vec<ReasonView>,
}

/// Where a series is heading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrendView {
    /// clear, unclear or too_short
    outlook: &'static str,
    /// In the metric's unit.
    per_hour: Option<f64>,
    /// The share of pairs of points that agree, 0 to 1.
    confidence: Option<f64>,
}

/// A reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonView {
    /// Its name: not_breaching, in_band, pending, firing, keep_firing, no_data, stale, no_sample, no_threshold, no_rate, no_trend,
    /// no_clear_trend, cooldown, silence, maintenance, quiet_hours, host_offline, acked, late_burst, self_doubt, no_channel,
    /// no_route, channel_disabled, channel_broken, channel_failing, channel_patience, in_line, gathering, on_its_way, held, too_short,
    /// next_notice; of a rule that does not apply disabled, replaced, out_of_scope or paused; of one whose metric nobody has sent yet
    /// unknown_metric.
    code: &'static str,
    /// The reason in words.
    text: String,
    /// When it may cease to be one.
    until: Option<String>,
    /// The silence behind it.
    silence: Option<String>,
    /// The rule behind it.
    rule: Option<String>,
    /// The channel that it is about.
    channel: Option<Named>,
}

/// What the evaluator says of an instance, freed from it.
struct Told {
    agent: AgentId,
    /// What its deliveries are called after.
    instance: String,
    /// The open incident, where routes say whom it is told to.
    routed: Option<IncidentRecord>,
    /// The channels that the evaluator takes to have heard of it.
    heard: Vec<ChannelId>,
    /// Whom it tells: the rule's own channels, or those that a route gives it.
    channels: Vec<ChannelId>,
    reasons: Vec<Reason>,
    view: Explained,
}

/// The newest value that an instance of a rule looks at: that of its series, or what several make together.
fn newest(vitals: &Vitals, (rule, filter): (&Rule, &Filter), series: &SeriesKey) -> Option<f64> {
    if rule.selector.aggregate == Aggregate::Each {
        return vitals.value(series);
    }
    let is_seen = |(key, _): &(&SeriesKey, f64)| key.metric() == rule.selector.metric && filter.admits(key);
    let values = vitals.latest.as_ref()?.samples().filter(is_seen).map(|(_, value)| value);
    Some(rule.selector.aggregate.of(values)).filter(|value| !value.is_nan())
}

fn told(mut view: InstanceView<'_>, fleet: &Fleet, (rule, filter): (&Rule, &Filter), (now, doubting): (Timestamp, bool)) -> Told {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let agent = view.key.agent;
    if rule.transform == Transform::None {
        view.value = view.value.or_else(|| newest(&fleet.get(agent)?, (rule, filter), &view.key.series));
    }
    let reasons = reasons(&view, now, doubting);
    let explained = Explained {
        agent: Named { id: agent.to_string(), name: String::new() },
        metric: view.key.series.metric().to_owned(),
        labels: labels(&view.key.series),
        state: view.state.name(),
        since: rfc3339(view.since),
        value: finite(view.value),
        threshold: finite(view.threshold),
        samples: view.samples,
        last_sample_at: view.last_ts.map(rfc3339),
        clear_since: view.clear_since.map(rfc3339),
        incident: view.incident.map(|incident| incident.id.to_string()),
        trend: view.outlook.map(trend),
        stale: view.stale,
        muted: view.muted.clone(),
        cooldown_until: view.cooldown_until.map(rfc3339),
        next_notice_at: view.next_notice_at.map(rfc3339),
        reasons: Vec::new(),
    };
    let channels = view.told.iter().map(|told| told.channel).collect();
    let open = view.incident.map(|incident| incident.id);
    let heard = view.told.iter().filter(|told| told.told.is_some() && told.told == open).map(|told| told.channel).collect();
    let routed = view.incident.filter(|_| rule.channels.is_empty()).cloned();
    Told { agent, instance: instance_name(&view.key), routed, heard, channels, reasons, view: explained }
}

/// An agent on which the rule has no series.
fn untold(evaluator: &Evaluator, rule: &Rule, agent: AgentId) -> Told {
    let reason = absence(evaluator.standing(rule.id, agent));
    let explained = Explained {
        agent: Named { id: agent.to_string(), name: String::new() },
        metric: rule.selector.metric.clone(),
        labels: rule.selector.labels.iter().cloned().collect(),
        state: AlertState::Ok.name(),
        since: rfc3339(clock::now()),
        value: None,
        threshold: None,
        samples: 0,
        last_sample_at: None,
        clear_since: None,
        incident: None,
        trend: None,
        stale: false,
        muted: Vec::new(),
        cooldown_until: None,
        next_notice_at: None,
        reasons: Vec::new(),
    };
    Told {
        agent,
        instance: String::new(),
        routed: None,
        heard: Vec::new(),
        channels: Vec::new(),
        reasons: vec![reason],
        view: explained,
    }
}

fn trend(outlook: Outlook) -> TrendView {
    const HOUR_MS: f64 = 3_600_000.0;
    match outlook {
        Outlook::TooShort => TrendView { outlook: "too_short", per_hour: None, confidence: None },
        Outlook::Unclear => TrendView { outlook: "unclear", per_hour: None, confidence: None },
        Outlook::Clear(trend) => {
            TrendView { outlook: "clear", per_hour: Some(trend.per_ms * HOUR_MS), confidence: Some(trend.confidence) }
        }
    }
}

/// Shows every series under a rule, with the reasons for its state and silence
#[utoipa::path(get, path = "/rules/{id}/explain", tag = "rules", params(("id" = String, Path, description = "Which rule"), ExplainParams),
    responses((status = 200, description = "Its instances", body = Listing<Explained>)))]
async fn explain(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<RuleId>,
    ApiQuery(params): ApiQuery<ExplainParams>,
) -> Result<Json<Listing<Explained>>, Problem> {
    let (rule, _) = super::find(&app, id)?;
    let only = id_in_query::<AgentId>("agent", params.agent.as_deref())?;
    let found = ask(&app, &rule, |_| true, only).await?;
    let mut all = describe(&app, &rule, found).await?;
    if let (Some(agent), Some(explained)) = (only, all.first_mut()) {
        explained.reasons.extend(too_short(&app, id, agent).await?);
        explained.reasons.extend(unknown_metric(&app, &rule).await?);
    }
    Ok(Json(Listing::whole(all)))
}

/// That nobody has ever sent what the rule looks at.
async fn unknown_metric(app: &App, rule: &Rule) -> Result<Option<ReasonView>, Problem> {
    let metric = rule.selector.metric.clone();
    if catalogue::find(&metric).is_some() || rule.is_offline() {
        return Ok(None);
    }
    let text = format!("no agent has sent {metric} yet, and it is not in the catalogue");
    let is_known = app.read_metrics(move |store| store.knows_metric(&metric)).await?;
    Ok((!is_known).then(|| plain("unknown_metric", text)))
}

/// A reason that nothing more is known of.
const fn plain(code: &'static str, text: String) -> ReasonView {
    ReasonView { code, text, until: None, silence: None, rule: None, channel: None }
}

/// That an incident of late ended before its page was due.
async fn too_short(app: &App, rule: RuleId, agent: AgentId) -> Result<Option<ReasonView>, Problem> {
    let query = EventQuery { agent: Some(agent), kinds: vec![EventKind::Suppressed], limit: WITHHELD, ..EventQuery::default() };
    let events = app.read_state(move |store| store.events(&query)).await?.items;
    let now = clock::now();
    let recent = |event: &&LoggedEvent| event.event.rule == Some(rule) && now.millis_since(event.event.at) <= RECENT_MS;
    let last = events.iter().filter(recent).find(|event| event.event.reason == TOO_SHORT);
    let text = |event: &LoggedEvent| format!("what fired last ended before its page was due, at {}", rfc3339(event.event.at));
    Ok(last.map(|event| plain("too_short", text(event))))
}

/// How an open incident stands now, and why; `None` if it is not open any more.
pub(in crate::api) async fn of_incident(app: &App, rule: RuleId, incident: IncidentId) -> Result<Option<Explained>, Problem> {
    let Ok((rule, _)) = super::find(app, rule) else { return Ok(None) };
    let wanted = move |view: &InstanceView<'_>| view.incident.is_some_and(|open| open.id == incident);
    let found = ask(app, &rule, wanted, None).await?;
    Ok(describe(app, &rule, found).await?.into_iter().next())
}

async fn ask(
    app: &App,
    rule: &Rule,
    wanted: impl Fn(&InstanceView<'_>) -> bool + Send + 'static,
    only: Option<AgentId>,
) -> Result<Vec<Told>, Problem> {
    let (fleet, rule, filter) = (Arc::clone(&app.fleet), rule.clone(), Filter::new(&rule.selector));
    let question = move |evaluator: &Evaluator| {
        let moment = (clock::now(), evaluator.doubts_itself());
        let views = evaluator.instances_of(rule.id, only).filter(wanted).take(MOST_INSTANCES);
        let mut all: Vec<Told> = views.map(|view| told(view, &fleet, (&rule, &filter), moment)).collect();
        if let Some(agent) = only.filter(|_| all.is_empty()) {
            all.push(untold(evaluator, &rule, agent));
        }
        all
    };
    app.pipeline.ask(question).await.ok_or_else(|| Problem::unavailable("the hub is stopping"))
}

/// The reason with only those channels counted that routes let hear of it: the evaluator knows all that any route could choose.
fn recounted(holdings: &Holdings, routed: Option<&IncidentRecord>, heard: &[ChannelId], reason: Reason) -> Reason {
    let Some(incident) = routed.filter(|_| reason.code == FIRING) else { return reason };
    let told_to = routing::told_to(holdings, incident);
    firing(heard.iter().filter(|channel| told_to.contains(channel)).count())
}

/// Adds names, and what went wrong on the way to the rule's channels.
async fn describe(app: &App, rule: &Rule, found: Vec<Told>) -> Result<Vec<Explained>, Problem> {
    let told = found.iter().flat_map(|told| &told.channels);
    let channels: BTreeSet<ChannelId> = rule.channels.iter().chain(told).copied().collect();
    let trouble = troubles(app, &channels).await?;
    let holdings = app.registry.read();
    let named = |id: ChannelId| Named {
        id: id.to_string(),
        name: holdings.channels.get(&id).map_or_else(|| id.to_string(), |channel| channel.name.clone()),
    };
    let shown = |reason: Reason| ReasonView {
        code: reason.code,
        text: reason.text,
        until: reason.until.map(rfc3339),
        silence: reason.silence.map(|id| id.to_string()),
        rule: reason.rule.map(|id| id.to_string()),
        channel: reason.channel.map(named),
    };
    let nowhere = |told: &Told| {
        let is_told_to_nobody = |incident: &IncidentRecord| routing::told_to(&holdings, incident).is_empty();
        let is_routed = !holdings.settings.routes.is_empty() && told.routed.as_ref().is_some_and(is_told_to_nobody);
        is_routed.then(|| {
            Reason::new("no_route", "no route names a channel for it, by its severity, tags and the hour at which it fired")
        })
    };
    let explained = |told: Told| {
        let nowhere = nowhere(&told);
        let counted = |reason| recounted(&holdings, told.routed.as_ref(), &told.heard, reason);
        let trouble = trouble.iter().filter(|trouble| trouble.is_about(&told.instance)).map(Trouble::reason);
        let all = told.reasons.into_iter().map(counted).chain(nowhere).chain(trouble);
        Explained { agent: names::agent(&holdings, told.agent), reasons: all.map(shown).collect(), ..told.view }
    };
    Ok(found.into_iter().map(explained).collect())
}
