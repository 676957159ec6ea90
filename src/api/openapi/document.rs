//! The frame of the OpenAPI document, and the completion of what is generated from the handlers.

use serde_json::{Map, Value};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr};
use utoipa::{Modify, OpenApi as _};

use super::responses;
use crate::api::problem::ProblemBody;
use crate::api::wire::schema::StreamEventKind;

const DESCRIPTION: &str = "Postrider accepts events and delivers each one, signed, to every subscription that matches it. \
With this API you submit events, manage subscriptions, and inspect, retry and replay deliveries.

## Conventions

All times are RFC 3339 in UTC with milliseconds. A list returns one page, `{\"items\": [...], \"next_cursor\": ...}`: to get \
the next page, pass `next_cursor` as `cursor`.

## Errors

Every error is a problem of RFC 9457 (`application/problem+json`). Its `type` is stable, and `errors` lists all problems \
of the request at once. An unknown path is answered with 404, and a method that a path does not have with 405 and \
`Allow`. A request that is not valid HTTP, such as one with a head that is too long, is answered without a body.

## Authentication

If API keys are configured, each request needs one: `Authorization: Bearer ...`. The role `ingest` permits `POST \
/v1/events` and `POST /v1/match`, the role `read` permits every GET, and the role `admin` permits everything. Without \
keys, the daemon serves only loopback and Unix sockets, and requests need no key.";

/// The parts of the document that do not come from the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Postrider", description = DESCRIPTION, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/", description = "The daemon that serves this document.")),
    components(schemas(ProblemBody, StreamEventKind)),
    modifiers(&SharedComponents),
    security(("key" = [])),
    tags(
        (name = "events", description = "Submit events, and read the accepted ones."),
        (name = "deliveries", description = "One delivery carries one event to one subscription."),
        (name = "subscriptions", description = "A subscription receives the events that match it."),
        (name = "replays", description = "A replay delivers events from the log again."),
        (name = "catalog", description = "The known event types and projects."),
        (name = "daemon", description = "The state of the daemon, live updates and backups."),
    ),
)]
struct Base;

/// Adds the components that all routes share: the authentication scheme and the error responses.
struct SharedComponents;

impl Modify for SharedComponents {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        for (name, response) in responses::shared() {
            components.responses.insert(name, response.into());
        }
    }
}

/// Returns the document without any routes.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// Makes each list refer to the schema of its items, which the generic type contains as a copy.
fn with_references(mut document: OpenApi) -> OpenApi {
    let Some(components) = &mut document.components else { return document };
    for (name, schema) in &mut components.schemas {
        let (Some(item), RefOr::T(Schema::Object(list))) = (name.strip_prefix("List_"), schema) else {
            continue;
        };
        if let Some(RefOr::T(Schema::Array(items))) = list.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
    document
}

/// Makes optional parameters never null: a parameter is given or left out.
fn with_plain_parameters(mut document: OpenApi) -> OpenApi {
    let is_null = |item: &RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            let RefOr::T(parameter) = parameter else { continue };
            let Some(RefOr::T(Schema::OneOf(choice))) = &parameter.schema else { continue };
            let mut others = choice.items.iter().filter(|item| !is_null(item));
            if let (Some(only), None) = (others.next(), others.next()) {
                parameter.schema = Some(only.clone());
            }
        }
    }
    document
}

/// Gives each body without an example the one of its schema.
fn with_examples(mut document: OpenApi) -> OpenApi {
    let schemas = document.components.clone().unwrap_or_default();
    let look_up = |name: &str| schemas.schemas.get(name);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let bodies = operation.request_body.iter_mut().filter_map(|body| match body {
            RefOr::T(body) => Some(body.content.values_mut()),
            RefOr::Ref(_) => None,
        });
        let answers = operation.responses.responses.values_mut().filter_map(|response| match response {
            RefOr::T(response) => Some(response.content.values_mut()),
            RefOr::Ref(_) => None,
        });
        for content in bodies.flatten().chain(answers.flatten()) {
            let RefOr::T(content) = content else { continue };
            give_example(content, &look_up);
        }
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn give_example<'s>(content: &mut Content, look_up: &impl Fn(&str) -> Option<&'s RefOr<Schema>>) {
    if content.example.is_none() && content.examples.is_empty() {
        content.example = content.schema.as_ref().and_then(|schema| example(schema, look_up));
    }
}

/// Returns the first example of a schema, or one built from the examples of its parts.
fn example<'s>(
    schema: &RefOr<Schema>,
    look_up: &impl Fn(&str) -> Option<&'s RefOr<Schema>>,
) -> Option<Value> {
    let schema = match schema {
        RefOr::Ref(reference) => {
            return example(look_up(reference.ref_location.rsplit('/').next()?)?, look_up);
        }
        RefOr::T(schema) => schema,
    };
    match schema {
        Schema::Object(object) if !object.examples.is_empty() => object.examples.first().cloned(),
        Schema::Object(object) if object.properties.is_empty() => None,
        Schema::Object(object) => {
            let mut members = Map::new();
            for (name, part) in &object.properties {
                members.insert(name.clone(), example(part, look_up).unwrap_or(Value::Null));
            }
            Some(Value::Object(members))
        }
        Schema::Array(array) => match &array.items {
            ArrayItems::RefOrSchema(item) => example(item, look_up).map(|item| Value::Array(vec![item])),
            ArrayItems::False => None,
        },
        Schema::OneOf(choice) => choice
            .examples
            .first()
            .cloned()
            .or_else(|| choice.items.iter().find_map(|item| example(item, look_up))),
        Schema::AllOf(all) => all.examples.first().cloned(),
        _ => None,
    }
}

/// Completes the document of all routes, and returns it as JSON text.
pub fn to_json(document: OpenApi) -> String {
    let document = with_examples(with_plain_parameters(with_references(document)));
    document.to_json().unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
