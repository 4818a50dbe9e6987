//! What answers every request: the router, but for the most of them by far, which are heartbeats over HTTP.
//!
//! The layers of a router each fetch memory for every request, and look for what a heartbeat never has. Without them it costs a sixth
//! less. Whatever else is asked at a heartbeat's path, the router answers as it does all.

use super::{BASES, middleware};
use crate::app::App;
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use nightbell_ingest::Endpoints;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// See the head of this file.
#[derive(Debug, Clone)]
pub struct Front {
    router: Router,
    agents: Endpoints,
    app: Arc<App>,
}

impl Front {
    pub(super) const fn new(router: Router, agents: Endpoints, app: Arc<App>) -> Self {
        Self { router, agents, app }
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<BoxFuture<'static, Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.uri().path();
        let is_theirs = BASES.iter().any(|base| path.strip_prefix(base) == Some(Endpoints::HEARTBEATS));
        if !is_theirs || request.method() != Method::POST {
            return Either::Right(self.router.call(request));
        }
        let (agents, app) = (self.agents.clone(), Arc::clone(&self.app));
        Either::Left(async move { Ok(middleware::briefly(&app, agents.heartbeats(request)).await) }.boxed())
    }
}
