//! Shapes and steps that several kinds of objects share: names, durations, bodies, who changes what. Routes are left to the
//! modules of the objects.

pub(super) mod agent_routes;
pub(super) mod body;
pub(super) mod change;
pub(super) mod delivery;
pub(super) mod filter;
pub(super) mod incident;
pub(super) mod metric;
pub(super) mod names;
pub(super) mod paging;
pub(crate) mod replay;
pub(crate) mod rule;
pub(super) mod seconds;
