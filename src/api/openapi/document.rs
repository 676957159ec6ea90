//! The OpenAPI document, made from the handlers themselves, and the route that shows it.

use serde_json::{Map, Value};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr};
use utoipa::{Modify, OpenApi as _};

use super::responses;
use crate::api::problem::ProblemBody;
use crate::api::wire::schema::HappeningKind;

const ABOUT: &str = "Events in, signed deliveries out, and everything about both.

Times are RFC 3339 in UTC with milliseconds. Lists are `{\"items\": [...], \"next_cursor\": ...}`: give `next_cursor` as `cursor` \
for the next page. Every refusal is `application/problem+json` (RFC 9457) and tells all problems at once. A method \
that a path does not have is answered 405 with `Allow`, an unknown path 404; what is no HTTP request at all (a head \
or a target that is too long) is answered without a body.

Where keys are configured each call needs one (`Authorization: Bearer ...`): with the role `ingest` for `POST \
/v1/events` and `POST /v1/match`, `read` for every GET, `admin` for everything. Without keys the daemon serves \
loopback and Unix sockets only, and needs none.";

/// What the document says beside its routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Postrider", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/", description = "The daemon that shows this document")),
    components(schemas(ProblemBody, HappeningKind)),
    modifiers(&Shared),
    security(("key" = [])),
    tags(
        (name = "events", description = "What happened"),
        (name = "deliveries", description = "Events on their way to subscriptions"),
        (name = "subscriptions", description = "Who wants to be told of what"),
        (name = "replays", description = "Delivering again from the log"),
        (name = "daemon", description = "How the daemon is and what it can"),
    ),
)]
struct Base;

/// What all routes share: the key, and refusals.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        for (name, response) in responses::shared() {
            components.responses.insert(name, response.into());
        }
    }
}

/// The document before the routes are in it.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// The document with lists that refer to their items; as it comes, a generic type holds what it is made of.
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

/// The document with parameters that are there or not, but never null.
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

/// Every body of the document with an example: what its schema gives, where the route gives none.
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

/// An example of a schema: its own first one, or one made of those of its parts; none where a part has none.
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

/// Completes the document of all routes and returns it as JSON text.
pub fn to_json(document: OpenApi) -> String {
    let document = with_examples(with_plain_parameters(with_references(document)));
    document.to_json().unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}
