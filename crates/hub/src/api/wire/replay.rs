//! What a rule would have done, as `backtest` prints it and the preview answers it. Times are epoch seconds.

use super::seconds::Epoch;
use nightbell_alerts::BacktestReport;
use serde::Serialize;
use utoipa::ToSchema;

/// What a rule would have done on one series.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Replay {
    /// The state at the first sample, then each change: time and state.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub(crate) transitions: Vec<(Epoch, &'static str)>,
    pub(crate) incidents: Vec<ReplayIncident>,
    pub(crate) notices: Vec<ReplayNotice>,
}

/// A firing period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct ReplayIncident {
    #[schema(value_type = f64)]
    pub(crate) fired_at: Epoch,
    /// null while it goes on
    #[schema(value_type = Option<f64>)]
    pub(crate) resolved_at: Option<Epoch>,
    /// The worst value in it.
    pub(crate) peak: Option<f64>,
}

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ReplayNotice {
    /// fired, resolved, nodata_start, nodata_end, repeat or escalated
    pub(crate) kind: &'static str,
    #[schema(value_type = f64)]
    pub(crate) at: Epoch,
}

impl Replay {
    /// A report in the words of the API.
    #[must_use]
    pub(crate) fn of(report: &BacktestReport) -> Self {
        Self {
            transitions: report.transitions.iter().map(|(at, state)| (Epoch(*at), state.name())).collect(),
            incidents: report
                .incidents
                .iter()
                .map(|incident| ReplayIncident {
                    fired_at: Epoch(incident.fired_at),
                    resolved_at: incident.resolved_at.map(Epoch),
                    peak: Some(incident.peak).filter(|peak| peak.is_finite()),
                })
                .collect(),
            notices: report.notices.iter().map(|(kind, at)| ReplayNotice { kind: kind.name(), at: Epoch(*at) }).collect(),
        }
    }
}
