//! Payload filters in CEL: compiled once, evaluated only for events that the selectors let through.
//!
//! A filter sees `event` with the members `type`, `project`, `company`, `sender_id`, `occurred_at` (a timestamp)
//! and `data`; a member that the event does not have is absent (`has(event.company)`).

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::event::EventContent;
use crate::model::time::Timestamp;

/// The longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
static TIMESTAMP: LazyLock<Option<Program>> = LazyLock::new(|| ENV.compile("timestamp(text)").ok());

/// A text that is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FilterError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there and what to do about it.
    pub message: String,
}

/// Why a filter gave no answer on one event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFailure {
    /// The expression failed.
    #[error("{0}")]
    Run(String),
    /// It gave something else than true or false.
    #[error("the filter gave {0}, not true or false: compare it with something")]
    Type(String),
    /// The event's data is not what a filter can read.
    #[error("event.data cannot be read: {0}")]
    Data(String),
}

/// A compiled filter.
pub struct Filter {
    program: Program,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            let message = format!("has {} bytes: a filter has at most {FILTER_BYTES_MAX}", text.len());
            return Err(FilterError { line: 1, column: 1, message });
        }
        let program = ENV.compile(text).map_err(|errors| {
            let first = errors.errors.first();
            let place = |at: isize| usize::try_from(at).unwrap_or(1).max(1);
            let (line, column) = first.map_or((1, 1), |error| (place(error.pos.0), place(error.pos.1)));
            let message = first.map_or_else(|| errors.to_string(), |error| error.msg.clone());
            FilterError { line, column, message }
        })?;
        Ok(Self { program })
    }

    /// Whether the event passes.
    ///
    /// # Errors
    /// The expression failed on this event, or gave no boolean.
    pub fn evaluate(&self, input: &FilterInput<'_>) -> Result<bool, FilterFailure> {
        let context = input.context.get_or_init(|| input.read()).as_ref().map_err(FilterFailure::clone)?;
        match self.program.execute(context) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(FilterFailure::Type(other.type_of().to_string())),
            Err(error) => Err(FilterFailure::Run(error.to_string())),
        }
    }
}

/// An event for filters; read at most once, and only if some filter asks.
pub struct FilterInput<'a> {
    content: &'a EventContent,
    arrived_at: Timestamp,
    context: OnceCell<Result<Context<'static, 'static>, FilterFailure>>,
}

impl<'a> FilterInput<'a> {
    /// An event that arrived at that time.
    pub const fn new(content: &'a EventContent, arrived_at: Timestamp) -> Self {
        Self { content, arrived_at, context: OnceCell::new() }
    }

    fn read(&self) -> Result<Context<'static, 'static>, FilterFailure> {
        let EventContent { event_type, project, company, sender_id, occurred_at, data } = self.content;
        let mut event = HashMap::new();
        let mut put = |name: &str, value: Value| event.insert(Key::from(name), value);
        put("type", event_type.as_str().into());
        put("project", project.as_str().into());
        if let Some(company) = company {
            put("company", company.as_str().into());
        }
        if let Some(sender_id) = sender_id {
            put("sender_id", sender_id.as_str().into());
        }
        put("occurred_at", timestamp(occurred_at.unwrap_or(self.arrived_at))?);
        if let Some(data) = data {
            let data: Json =
                serde_json::from_slice(data).map_err(|error| FilterFailure::Data(error.to_string()))?;
            put("data", data.0);
        }
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("event", event);
        Ok(context)
    }
}

/// A time as CEL knows it.
fn timestamp(at: Timestamp) -> Result<Value, FilterFailure> {
    let failure = |error: ExecutionError| FilterFailure::Run(error.to_string());
    let mut context = Context::with_env(Arc::clone(&ENV));
    context.add_variable_from_value("text", at.to_string());
    TIMESTAMP.as_ref().map_or(Ok(Value::Null), |program| program.execute(&context)).map_err(failure)
}

/// JSON read straight into CEL's values.
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Json(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::List(Arc::new(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = HashMap::new();
        while let Some((name, Json(value))) = members.next_entry::<String, Json>()? {
            map.insert(Key::from(name), value);
        }
        Ok(map.into())
    }
}
