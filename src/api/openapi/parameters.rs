//! Parameters that several routes share, as the OpenAPI document describes them.

use std::marker::PhantomData;

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Required};
use utoipa::{IntoParams, PartialSchema};

use crate::api::request::query::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::api::wire::schema::{IdempotencyKeyText, IfMatchText};

/// Describes `limit` and `cursor` of a list whose cursors have the schema `T`.
pub struct Paging<T>(PhantomData<T>);

impl<T: PartialSchema> IntoParams for Paging<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = Object::builder()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(1))
            .maximum(Some(LIMIT_MAX));
        let limit_text = format!("The most items to return on this page. The default is {LIMIT_DEFAULT}.");
        vec![
            optional("limit", ParameterIn::Query, limit_text, RefOr::T(Schema::Object(limit.build()))),
            optional(
                "cursor",
                ParameterIn::Query,
                "The `next_cursor` of the previous page. Leave it out for the first page.",
                T::schema(),
            ),
        ]
    }
}

/// Describes the `If-Match` header of a route that changes a subscription.
pub struct IfMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = "The `ETag` of the subscription that the change is meant for. If the subscription has changed \
                    since, the request fails with 412 and changes nothing.";
        vec![optional("If-Match", ParameterIn::Header, text, IfMatchText::schema())]
    }
}

/// Describes the `Idempotency-Key` header of a route that creates something.
pub struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = "A key of your choice that makes it safe to retry this request. For 24 hours, a request with the \
                    same key and the same body returns the response of the first one and does nothing.";
        vec![optional("Idempotency-Key", ParameterIn::Header, text, IdempotencyKeyText::schema())]
    }
}

fn optional(
    name: &str,
    place: ParameterIn,
    description: impl Into<String>,
    schema: RefOr<Schema>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
