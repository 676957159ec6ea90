//! Payload filters written in CEL.
//!
//! A filter is compiled once. It is evaluated only for events that the subscription's selectors match.
//!
//! A filter sees the variable `event` with the members `type`, `project`, `company`, `sender_id`,
//! `occurred_at` (a timestamp) and `data`. A member that the event does not have is absent, which
//! `has(event.company)` tests.

mod bounds;
mod budget;
mod json;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::common::types::CelBool;
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, ParseErrors, Program, Value};
use regex::Regex;

use self::bounds::{BoundError, bound, pattern_name};
use self::budget::{BUDGET, Budget, Pattern};
use self::json::Json;
use crate::model::event::EventContent;
use crate::model::problem::{Localized, Message};
use crate::model::time::Timestamp;

/// The longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;
/// The longest message of an evaluation error, in bytes.
const FAILURE_BYTES_MAX: usize = 512;

#[expect(clippy::expect_used, reason = "all declared names are distinct")]
static ENV: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(budget::environment().expect("all declared names are distinct")));
static TIMESTAMP: LazyLock<Option<Program>> = LazyLock::new(|| ENV.compile("timestamp(text)").ok());

/// A text that does not compile as a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}, column {column}: {}{message}",
    .token.as_ref().map(|token| format!("'{token}' ")).unwrap_or_default()
)]
pub struct FilterError {
    /// The line, starting at 1.
    pub line: usize,
    /// The column in characters, starting at 1.
    pub column: usize,
    /// The part of the text that the message is about, if it is about a part.
    pub token: Option<String>,
    /// The fault, and the remedy.
    pub message: String,
}

impl Localized for FilterError {
    fn message(&self) -> Message {
        let message = match &self.token {
            None => Message::new("problem-filter"),
            Some(token) => Message::new("problem-filter-token").with("token", token),
        };
        message.with("line", self.line).with("column", self.column).with_phrase("message", &self.message)
    }
}

/// A reason why the evaluation of a filter gave no answer for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The expression failed.
    #[error("{0}")]
    Run(String),
    /// The evaluation exceeded its cost budget. See `docs/MATCHING.md`.
    #[error(
        "the filter exceeds its cost budget on this event: read less of the data, or use fewer nested loops"
    )]
    Cost,
    /// The expression gave a value other than true or false.
    #[error("the filter gave {0}, expected true or false: compare the value with something")]
    Type(String),
    /// The event's data is not valid JSON.
    #[error("event.data is not valid JSON: {0}")]
    Data(String),
}

/// A compiled filter. The cost of every evaluation is bounded.
pub struct Filter {
    expression: IdedExpr,
    patterns: Vec<Regex>,
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
    /// Returns the first mistake with its position: a syntax error, an unknown name, or an expression without
    /// a bounded cost.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            let message = format!("has {} bytes, expected at most {FILTER_BYTES_MAX}", text.len());
            return Err(FilterError { line: 1, column: 1, token: None, message });
        }
        let program = ENV.compile(text).map_err(|errors| FilterError::of(&errors))?;
        let mut expression = program.expression().clone();
        match bound(&mut expression) {
            Ok(patterns) => Ok(Self { expression, patterns }),
            Err(refusal) => Err(FilterError::at(text, program.source_info(), refusal)),
        }
    }

    /// Returns whether the event passes the filter.
    ///
    /// # Errors
    /// Returns an error if the expression fails on this event, does not give a boolean, or exceeds its cost
    /// budget.
    pub fn evaluate(&self, input: &FilterInput<'_>) -> Result<bool, EvaluationError> {
        let read = input.read.get_or_init(|| input.read()).as_ref().map_err(EvaluationError::clone)?;
        read.budget.refill();
        let mut scope = read.context.new_inner_scope();
        for (index, pattern) in self.patterns.iter().enumerate() {
            scope.add_variable_as_val(pattern_name(index), Box::new(Pattern(pattern.clone())));
        }
        let result = Value::resolve_val(&self.expression, &scope);
        if read.budget.is_exhausted() {
            return Err(EvaluationError::Cost);
        }
        let value = result.map_err(|error| failure(&error))?;
        let answer = value.downcast_ref::<CelBool>().map(|answer| *answer.inner());
        answer.ok_or_else(|| EvaluationError::Type(value.get_type().name().to_owned()))
    }
}

impl FilterError {
    fn of(errors: &ParseErrors) -> Self {
        let place = |at: isize| usize::try_from(at).unwrap_or(1).max(1);
        let Some(first) = errors.errors.first() else {
            return Self { line: 1, column: 1, token: None, message: errors.to_string() };
        };
        let (token, message) = plain_message(&first.msg);
        Self { line: place(first.pos.0), column: place(first.pos.1), token, message }
    }

    fn at(text: &str, places: &SourceInfo, refusal: BoundError) -> Self {
        let offset = places.offset_for(refusal.node).map_or(0, |(start, _)| start as usize);
        let before = text.get(..offset).unwrap_or("");
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |rest| rest.chars().count());
        Self { line, column, token: None, message: refusal.message }
    }
}

/// Translates a parser message to plain words. Returns the part of the text that it is about, if any, and the
/// message.
fn plain_message(said: &str) -> (Option<String>, String) {
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said);
    let (found, expected) = said.split_once(" expecting ").unwrap_or((said, ""));
    let quoted = |text: &str| {
        let token = text.split_once('\'')?.1.split('\'').next()?.trim();
        (!token.is_empty()).then(|| token.to_owned())
    };
    let is_end = found.ends_with("'<EOF>'");
    if found.starts_with("missing ") {
        (quoted(found), "is missing here".to_owned())
    } else if is_end && expected.starts_with('\'') {
        (quoted(expected), "is missing here".to_owned())
    } else if is_end {
        (None, "the expression ends too early".to_owned())
    } else if found.starts_with("token recognition error at: ") {
        (quoted(found), "is not part of an expression".to_owned())
    } else if ["mismatched input ", "extraneous input ", "no viable alternative at input "]
        .iter()
        .any(|start| found.starts_with(start))
    {
        (quoted(found), "is not expected here".to_owned())
    } else {
        (None, said.to_owned())
    }
}

/// Returns an evaluation error with a message of bounded length, because the original can quote the whole
/// event.
fn failure(error: &ExecutionError) -> EvaluationError {
    let mut text = error.to_string();
    if text.len() > FAILURE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FAILURE_BYTES_MAX));
        text.push('…');
    }
    EvaluationError::Run(text)
}

/// The event as values that a filter reads, and the cost budget.
struct EventValues {
    context: Context<'static, 'static>,
    budget: Budget,
}

/// An event as input for filters. It is converted at most once, when the first filter reads it.
pub struct FilterInput<'a> {
    content: &'a EventContent,
    arrived_at: Timestamp,
    read: OnceCell<Result<EventValues, EvaluationError>>,
}

impl<'a> FilterInput<'a> {
    /// Creates the input for an event that arrived at `arrived_at`.
    pub const fn new(content: &'a EventContent, arrived_at: Timestamp) -> Self {
        Self { content, arrived_at, read: OnceCell::new() }
    }

    fn read(&self) -> Result<EventValues, EvaluationError> {
        let EventContent { event_type, project, company, sender_id, occurred_at, data, trace: _ } =
            self.content;
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
                serde_json::from_slice(data).map_err(|error| EvaluationError::Data(error.to_string()))?;
            put("data", data.0);
        }
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("event", event);
        let budget = Budget::new();
        context.add_variable_as_val(BUDGET, Box::new(budget.clone()));
        Ok(EventValues { context, budget })
    }
}

/// Converts a time to a CEL timestamp.
fn timestamp(at: Timestamp) -> Result<Value, EvaluationError> {
    let mut context = Context::with_env(Arc::clone(&ENV));
    context.add_variable_from_value("text", at.to_string());
    TIMESTAMP
        .as_ref()
        .map_or(Ok(Value::Null), |program| program.execute(&context))
        .map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> EventContent {
        EventContent {
            event_type: "TODO_CREATED".parse().unwrap(),
            project: "website".parse().unwrap(),
            company: Some("acme".parse().unwrap()),
            sender_id: None,
            occurred_at: Some("2026-03-04T05:06:07Z".parse().unwrap()),
            data: (!data.is_empty()).then(|| data.to_owned().into()),
            trace: None,
        }
    }

    fn evaluate(text: &str, event: &EventContent) -> Result<bool, EvaluationError> {
        let filter = Filter::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        filter.evaluate(&FilterInput::new(event, Timestamp::default()))
    }

    const DATA: &str = r#"{"status":"done","price":12.5,"count":3,"big":18446744073709551615,"none":null,
        "tags":["a","b"],"items":[{"sku":"x","n":1},{"sku":"y","n":2}],"owner":{"name":"Ann"}}"#;

    #[test]
    fn supported_expressions_evaluate() {
        for text in [
            "event.type == 'TODO_CREATED' && event.project == \"website\" && event.company == 'acme'",
            "event.data.status in ['done', 'closed'] && event.data.price * 2.0 > 24.0 && event.data.count == 3",
            "event.data.items.exists(i, i.sku == 'y' && i.n > 1) && !event.data.items.all(i, i.n > 1)",
            "event.data.items.exists_one(i, i.sku == 'x') && size(event.data.items.filter(i, i.n < 2)) == 1",
            "has(event.data.owner.name) && !has(event.data.owner.age) && !has(event.sender_id)",
            "event.data.owner.name + '!' == 'Ann!' && event.data.count + 1 == 4",
            "event.type.matches('^TODO_[A-Z]+$') && matches(event.data.status, 'do') && event.type.startsWith('TODO')",
            "'a' in event.data.tags && event.data.tags[1] == 'b' && event.data.tags.size() == 2",
            "event.occurred_at > timestamp('2026-01-01T00:00:00Z') && event.occurred_at.getHours() == 5",
            "event.occurred_at - duration('1h') < event.occurred_at && event.data.none == null",
            "event.data.big > 5u && string(event.data.count) == '3' && int('7') == 7",
            "event.data.tags == ['a', 'b'] && event.data.owner != event.data.items && type(event.data) == map",
            "event.data.items.all(i, event.data.items.exists(j, j.n == i.n)) || false",
            "event.data.count > 2 ? event.data['status'] == 'done' : false",
            "-1 in [-1, 2] && {'done': true}[event.data.status]",
        ] {
            assert_eq!(evaluate(text, &event(DATA)), Ok(true), "{text}");
            assert_eq!(evaluate(&format!("!({text})"), &event(DATA)), Ok(false), "{text}");
        }
    }

    #[test]
    fn occurred_at_defaults_to_the_arrival_time() {
        let mut event = event("");
        event.occurred_at = None;
        let filter = Filter::compile("event.occurred_at == timestamp('1970-01-01T00:00:05Z')").unwrap();
        assert_eq!(filter.evaluate(&FilterInput::new(&event, Timestamp::from_millis(5000))), Ok(true));
        assert_eq!(filter.evaluate(&FilterInput::new(&event, Timestamp::from_millis(5001))), Ok(false));
    }

    #[test]
    fn evaluation_errors_name_the_cause() {
        for (text, data, expected) in [
            ("event.data.stat == 'done'", DATA, "No such key: stat"),
            ("event.data.status == 'done'", "", "No such key: data"),
            (
                "event.data.count",
                DATA,
                "the filter gave int, expected true or false: compare the value with something",
            ),
            (
                "event.data.x",
                "{\"x\":",
                "event.data is not valid JSON: EOF while parsing a value at line 1 column 5",
            ),
            (
                "event.data.tags + ['c'] == []",
                DATA,
                "Error executing function '+': filters cannot join lists: test each list by itself",
            ),
            ("event.data.count / 0 == 1", DATA, "Division by zero of Int(3)"),
        ] {
            assert_eq!(evaluate(text, &event(data)).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn compile_errors_have_a_position() {
        for (text, line, column, message) in [
            ("event.data.x ==", 1, 16, "the expression ends too early"),
            ("event.data.x == * 2", 1, 17, "'*' is not expected here"),
            ("event.data.x = 2", 1, 14, "'=' is not part of an expression"),
            ("(event.data.x == 2", 1, 19, "')' is missing here"),
            ("event.data.x == 2 2", 1, 19, "'2' is not expected here"),
            ("event.data.x == 1 &&\n  evnt.type == 'x'", 2, 3, "'evnt' is unknown"),
            (
                "event.typ == 'x'",
                1,
                6,
                "an event has no member 'typ', only type, project, company, data, sender_id, occurred_at; did you mean 'type'?",
            ),
            ("event.data.map(x, [x, x]).size() > 1", 1, 15, "map is not supported in filters"),
            ("event.type.matches(event.data.p)", 1, 19, "the pattern of matches must be a constant"),
            ("event.type.matches('(')", 1, 19, "the pattern of matches: regex parse error"),
            (
                "event.type.matches('\\\\w{1000}')",
                1,
                19,
                "the pattern of matches: Compiled regex exceeds size limit",
            ),
            ("[event.data, event.data] == []", 1, 1, "a list or map may contain only constants"),
            ("foo(event.data)", 1, 4, "'foo' is not a function of filters: expected one of size, contains"),
            ("event.data.a == 1 && optional.none() == 1", 1, 22, "'optional' is unknown"),
        ] {
            let error = Filter::compile(text).unwrap_err();
            let place = format!("line {line}, column {column}: {message}");
            assert!(error.to_string().starts_with(&place), "{text}: {error}");
        }
        assert!(Filter::compile(&"x".repeat(5000)).unwrap_err().message.contains("5000 bytes"));
    }

    #[test]
    fn deep_nesting_is_rejected() {
        let deep = [
            format!("{}event.data{}", "(".repeat(1500), ")".repeat(1500)),
            format!("{}event.data.x{}", "!(".repeat(1300), ")".repeat(1300)),
            format!("event.data.n{} > 0", "+1".repeat(1900)),
            format!("event.data{}", ".a".repeat(1900)),
            format!("event.data{}", "[0]".repeat(1300)),
            format!("{}1{}", "[".repeat(1500), "]".repeat(1500)),
            format!("{}true", "true ? true : ".repeat(280)),
        ];
        for text in deep {
            assert!(Filter::compile(&text).is_err(), "{}", &text[..40]);
        }
        assert!(Filter::compile(&format!("true{}", " && event.data.x".repeat(200))).is_ok());
    }

    #[test]
    fn expensive_evaluation_exceeds_the_budget() {
        let list = format!("{{\"a\":[{}0],\"t\":\"{}\"}}", "1,".repeat(20_000), "ab".repeat(200_000));
        for text in [
            "event.data.a.all(x, event.data.a.all(y, x + y >= 0))",
            "event.data.a.all(x, event.data.a.exists(y, event.data.a.exists(z, x + y + z == -1)) || true)",
            "event.data.a.all(x, event.data.a == event.data.a)",
            "event.data.a.filter(x, size(event.data.a.filter(y, x == y)) > 5) == []",
            "event.data.a.exists_one(x, event.data.t.contains('c') || x == 7)",
            "event.data.t.matches('(a|b|ab)*c')",
            "event.data.a.all(x, event.data.t == event.data.t) || true",
        ] {
            assert_eq!(evaluate(text, &event(&list)), Err(EvaluationError::Cost), "{text}");
        }
        assert_eq!(
            evaluate("event.data.a.all(x, x < 2) && event.data.t.contains('ab')", &event(&list)),
            Ok(true)
        );
    }
}
