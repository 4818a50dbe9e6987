//! What the description of the API cannot learn from the handlers: the agents' own endpoints, whose handlers are the ingest
//! crate's, and names of paths and operations as the specification wants them.

use crate::api::problem::Problem;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};

/// Adds the agents' endpoints, takes the stars out of `{*rest}`, and gives each operation a name of its own.
pub(crate) fn describe(document: &mut OpenApi) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    let credential = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An agent's credential, or an enrolment token"))
        .build();
    document.components.get_or_insert_with(Components::default).add_security_scheme("agent", SecurityScheme::Http(credential));
    for (path, item) in [("/agents/connect", connect()), ("/nodes", nodes()), ("/metrics/system", system())] {
        match serde_json::from_value::<PathItem>(item) {
            Ok(item) => drop(document.paths.paths.insert(path.to_owned(), item)),
            Err(error) => tracing::error!(%error, path, "the description of an agents' endpoint cannot be read"),
        }
    }
    for (path, item) in &mut document.paths.paths {
        let methods = [("get", &mut item.get), ("post", &mut item.post), ("put", &mut item.put)];
        for (method, operation) in methods.into_iter().chain([("patch", &mut item.patch), ("delete", &mut item.delete)]) {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
}

/// `GET /agents/{id}/thresholds` is `get_agents_id_thresholds`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// The answer to everything that goes wrong.
fn problem() -> Value {
    refused("What went wrong, as problem details")
}

fn refused(description: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{}", Problem::name())});
    json!({"description": description, "content": {"application/problem+json": {"schema": schema}}})
}

fn body(description: &str, schema: &Value) -> Value {
    json!({"description": description, "required": true, "content": {"application/json": {"schema": schema}}})
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn connect() -> Value {
    json!({"get": {
        "tags": ["ingest"],
        "summary": "Opens an agent's connection",
        "description": "A WebSocket with the subprotocol nightbell.v1.cbor or nightbell.v1.json; see the protocol's document.",
        "security": [{}],
        "responses": {"101": {"description": "Switched to WebSocket"}, "default": problem()},
    }})
}

fn nodes() -> Value {
    let text = json!({"type": "string"});
    let request = json!({"type": "object", "properties": {
        "hostname": text, "ip": text, "role": text, "version": text, "name": text,
        "interval_ms": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": text},
        "facts": {"type": "object"},
    }});
    let enrolled = json!({"type": "object", "required": ["node_id"], "properties": {"node_id": text, "credential": text}});
    json!({"post": {
        "tags": ["ingest"],
        "summary": "Enrols an agent, or updates what it says of itself",
        "description": "With an enrolment token it answers an id and a credential; with the credential it updates and answers the same id.",
        "security": [{"agent": []}],
        "requestBody": body("Who it is", &request),
        "responses": {
            "200": answer("Enrolled or updated", &enrolled),
            "422": refused("A field cannot be accepted: errors[0].pointer says which"),
            "default": problem(),
        },
    }})
}

fn system() -> Value {
    let heartbeats = json!({"type": "object", "required": ["heartbeats"], "properties": {
        "sent_at": {"type": "integer", "description": "When it was sent, by the sender's clock, in epoch milliseconds"},
        "heartbeats": {"type": "array", "items": {"type": "object", "properties": {
            "timestamp": {"description": "When it was measured", "type": ["integer", "number", "string"]},
            "boot_id": {"type": "string"},
            "seq": {"type": "integer", "minimum": 1},
            "age_ms": {"type": "integer", "minimum": 0},
            "metrics": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        }}},
    }});
    let seed = json!({"type": "object", "properties": {
        "node_id": {"type": "string"}, "timestamp": {"type": ["integer", "number", "string"]},
        "system": {"type": "object"}, "processes": {"type": "object"}, "services": {"type": "object"},
    }});
    let request = json!({"oneOf": [heartbeats, seed, {"type": "array", "items": seed}]});
    let stored = json!({"type": "object", "required": ["accepted", "duplicates", "rejected"], "properties": {
        "accepted": {"type": "integer"}, "duplicates": {"type": "integer"},
        "rejected": {"type": "array", "items": {"type": "object", "required": ["index", "why"], "properties": {
            "index": {"type": "integer"}, "why": {"type": "string"},
        }}},
    }});
    json!({"post": {
        "tags": ["ingest"],
        "summary": "Takes heartbeats over plain HTTP",
        "description": "One heartbeat, an array of them, or {\"heartbeats\":[…]}, gzip or plain; answered once they are durable.",
        "security": [{"agent": []}],
        "requestBody": body("The heartbeats", &request),
        "responses": {
            "200": answer("Durable", &stored),
            "422": refused("The body holds no heartbeats; one that is wrong is refused by its index in an answer of 200"),
            "default": problem(),
        },
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_endpoints_are_described_and_stars_are_gone() {
        let mut document = utoipa::openapi::OpenApiBuilder::new().build();
        let item: PathItem = serde_json::from_value(json!({"get": {"responses": {}}})).expect("an item");
        document.paths.paths.insert("/agents/{id}/charts/{*chart}".to_owned(), item);
        describe(&mut document);
        let ids: std::collections::BTreeSet<_> = document
            .paths
            .paths
            .values()
            .flat_map(|item| [&item.get, &item.post])
            .flatten()
            .map(|op| op.operation_id.clone())
            .collect();
        assert_eq!((ids.len(), ids.contains(&Some("get_agents_id_charts_chart".to_owned()))), (4, true), "{ids:?}");
        let paths: Vec<&str> = document.paths.paths.keys().map(String::as_str).collect();
        for path in ["/agents/connect", "/agents/{id}/charts/{chart}", "/metrics/system", "/nodes"] {
            assert!(paths.contains(&path), "{path} is not among {paths:?}");
        }
    }
}
