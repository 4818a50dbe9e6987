//! What everybody should know at a glance: which pages are withheld now, until when, and which channels do not work.

use super::wire::names::Named;
use crate::app::App;
use crate::clock;
use crate::page::rfc3339;
use crate::registry::Holdings;
use axum::Json;
use axum::extract::State;
use nightbell_alerts::MuteKind;
use nightbell_model::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What is withheld, and what is broken.
#[derive(Debug, Serialize, ToSchema)]
struct Banner {
    silences: Withheld,
    maintenance: Withheld,
    quiet_hours: Withheld,
    /// Channels that refuse what they are sent.
    channels_broken: Vec<Named>,
    /// The channel that is told of them.
    fallback_channel: Option<String>,
}

/// Pages that are withheld for one reason.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Withheld {
    /// How many silences are in force, or channels quiet.
    active: usize,
    /// When the first of them ends; null for never, and for none.
    ends_at: Option<String>,
}

fn withheld(holdings: &Holdings, kind: MuteKind, now: Timestamp) -> Withheld {
    let mut ids = BTreeSet::new();
    let mut end = Timestamp::MAX;
    for mute in holdings.mutes().filter(|mute| mute.kind == kind && mute.is_active(now)) {
        ids.insert(mute.id);
        end = end.min(mute.end);
    }
    Withheld { active: ids.len(), ends_at: (end < Timestamp::MAX).then(|| rfc3339(end)) }
}

/// Shows which pages are withheld now and which channels do not work
#[utoipa::path(get, path = "/banner", tag = "system", responses((status = 200, description = "What is withheld and broken now", body = Banner)))]
async fn show(State(app): State<Arc<App>>) -> Json<Banner> {
    let (holdings, now) = (app.registry.read(), clock::now());
    let broken = holdings.channels.values().filter(|row| row.broken.is_some());
    Json(Banner {
        silences: withheld(&holdings, MuteKind::Silence, now),
        maintenance: withheld(&holdings, MuteKind::Maintenance, now),
        quiet_hours: withheld(&holdings, MuteKind::QuietHours, now),
        channels_broken: broken.map(|row| Named { id: row.id.to_string(), name: row.name.clone() }).collect(),
        fallback_channel: holdings.settings.fallback.map(|id| id.to_string()),
    })
}
