//! The schema of each setting in the OpenAPI document, by its kind.

use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, OneOf, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr};

use super::schema::{
    EmailText, EventTermText, FilterText, Format, Headers, NameText, Ordering, ProjectTermText, RateText,
    TimeoutText, UrlText, WaitText,
};
use crate::model::member_error::RETRIES_MAX;
use crate::model::selector::SELECTOR_TERMS_MAX;
use crate::model::setting::{Kind, Setting};

/// Returns the schema of a setting in a request. Every setting may be left out, and all but the URL may be null.
pub(super) fn given(setting: &Setting) -> RefOr<Schema> {
    let default =
        if setting.is_required() { String::new() } else { format!(" Default: {}.", setting.default) };
    let description = format!("{}.{default}", setting.description);
    let mut schema = match setting.kind {
        Kind::Timeout => reference::<TimeoutText>(&description),
        Kind::Waits => list(to::<WaitText>(), &description).max_items(Some(RETRIES_MAX)).into(),
        Kind::EventTerms => terms::<EventTermText>(&description).max_items(Some(SELECTOR_TERMS_MAX)).into(),
        Kind::ProjectTerms => {
            terms::<ProjectTermText>(&description).max_items(Some(SELECTOR_TERMS_MAX)).into()
        }
        _ => value(setting.kind, &description),
    };
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.write_only = setting.is_secret().then_some(true);
    }
    if setting.is_required() { schema } else { nullable(schema) }
}

/// Returns the schema of a setting in a response. A setting that has no default of its own is null if it is not set.
pub(super) fn shown(setting: &Setting) -> RefOr<Schema> {
    let null = if setting.is_nullable() { format!(" Null: {}.", setting.default) } else { String::new() };
    let description = format!("{}.{null}", setting.description);
    let schema = value(setting.kind, &description);
    if setting.is_nullable() { nullable(schema) } else { schema }
}

/// Adds the components that the schemas refer to.
pub(super) fn components(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
    }
    add::<NameText>(schemas);
    add::<UrlText>(schemas);
    add::<EventTermText>(schemas);
    add::<ProjectTermText>(schemas);
    add::<FilterText>(schemas);
    add::<Format>(schemas);
    add::<Headers>(schemas);
    add::<TimeoutText>(schemas);
    add::<WaitText>(schemas);
    add::<RateText>(schemas);
    add::<Ordering>(schemas);
    add::<EmailText>(schemas);
}

fn value(kind: Kind, description: &str) -> RefOr<Schema> {
    match kind {
        Kind::Name => reference::<NameText>(description),
        Kind::Url => reference::<UrlText>(description),
        Kind::EventTerms => terms::<EventTermText>(description).into(),
        Kind::ProjectTerms => terms::<ProjectTermText>(description).into(),
        Kind::Filter => reference::<FilterText>(description),
        Kind::Format => reference::<Format>(description),
        Kind::Ordering => reference::<Ordering>(description),
        Kind::Headers => reference::<Headers>(description),
        Kind::Waits => list(Object::with_type(Type::String).into(), description).into(),
        Kind::Count(most) => Object::builder()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .description(Some(description))
            .minimum(Some(1))
            .maximum(Some(most))
            .into(),
        Kind::Rate => reference::<RateText>(description),
        Kind::Email => reference::<EmailText>(description),
        Kind::Timeout | Kind::Certificates | Kind::PrivateKey => {
            Object::builder().schema_type(Type::String).description(Some(description)).into()
        }
    }
}

fn to<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn reference<T: ToSchema>(description: &str) -> RefOr<Schema> {
    Ref::builder().ref_location_from_schema_name(T::name()).description(Some(description)).build().into()
}

fn list(item: RefOr<Schema>, description: &str) -> ArrayBuilder {
    Array::builder().items(item).description(Some(description))
}

fn terms<T: ToSchema>(description: &str) -> ArrayBuilder {
    list(to::<T>(), description).min_items(Some(1))
}

/// Returns the schema that also allows null.
fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    let or_null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => SchemaType::from_iter([kind.clone(), Type::Null]),
        other => other.clone(),
    };
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = or_null(&object.schema_type);
            Schema::Object(object).into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = or_null(&array.schema_type);
            Schema::Array(array).into()
        }
        other => OneOf::builder().item(other).item(Object::with_type(Type::Null)).into(),
    }
}
