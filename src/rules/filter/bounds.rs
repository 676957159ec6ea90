//! Bounds the cost of a filter: rejects what has no bound, and makes the rest pay while it runs.
//!
//! A filter's text has at most 4 KiB. So only operations that grow with the size of the event can be
//! expensive: loops, comparisons of whole values, and searches in text. A rewritten loop pays for its body in
//! each iteration. An operation that reads a whole value first pays for the size of the value. No value can
//! grow beyond the event: lists and maps consist of constants, `map` is rejected, and `+` is bounded.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use cel::common::types::CelInt;
use regex::{Regex, RegexBuilder};

use super::budget::{BUDGET, MATCHES, SPEND, SUM, WEIGH};
use crate::model::problem::nearest;

/// The members of `event`.
pub(super) const MEMBERS: [&str; 6] = ["type", "project", "company", "data", "sender_id", "occurred_at"];

const DEPTH_MAX: usize = 64;
const LOOPS_MAX: usize = 4;
const PATTERN_BYTES_MAX: usize = 1 << 18;
/// The cost of matching a regular expression against a text, as a multiple of the cost of reading the text
/// once.
const PATTERN_FACTOR: i64 = 64;
/// The cost of a loop over a list, as a multiple of the cost of reading it: a loop copies each element.
const LOOP_FACTOR: i64 = 4;
const TYPES: [&str; 12] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];
/// Functions whose cost does not depend on the sizes of their arguments.
const CHEAP: [&str; 20] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::CONDITIONAL,
    operators::NEGATE,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::INDEX,
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];
/// Functions that read all of their first operand.
const WHOLE: [&str; 14] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "bytes",
    "int",
    "uint",
    "double",
    "bool",
    "timestamp",
    "duration",
    "type",
    "dyn",
];
/// Operators that read all of both operands, unless one of them is a constant.
const COMPARE: [&str; 6] = [
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
];

/// The reason why an expression is rejected, and the node that the message is about.
pub(super) struct BoundError {
    pub(super) node: u64,
    pub(super) message: String,
}

/// Rewrites an expression so that the cost of its evaluation is bounded.
///
/// Returns the regular expressions that the rewritten expression refers to as `@pattern0`, `@pattern1` and so
/// on.
pub(super) fn bound(expression: &mut IdedExpr) -> Result<Vec<Regex>, BoundError> {
    let mut walk = CostBounder { patterns: Vec::new(), variables: Vec::new(), depth: 0 };
    walk.visit(expression)?;
    Ok(walk.patterns)
}

/// Returns the name of the variable that holds a compiled regular expression.
pub(super) fn pattern_name(index: usize) -> String {
    format!("@pattern{index}")
}

struct CostBounder {
    patterns: Vec<Regex>,
    variables: Vec<String>,
    depth: usize,
}

fn refuse<T>(node: u64, message: impl Into<String>) -> Result<T, BoundError> {
    Err(BoundError { node, message: message.into() })
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn int(value: i64) -> IdedExpr {
    node(Expr::Literal(LiteralValue::Int(CelInt::from(value))))
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
}

fn ident(name: &str) -> IdedExpr {
    node(Expr::Ident(name.to_owned()))
}

/// Makes an operand pay for its size.
fn weigh(operand: &mut IdedExpr, factor: i64) {
    if !is_constant(operand) {
        let value = std::mem::take(operand);
        *operand = call(WEIGH, vec![ident(BUDGET), int(factor), value]);
    }
}

/// Makes an expression pay a fixed price whenever it is evaluated.
///
/// The payment is the condition of a conditional, because the interpreter never ignores an error of a
/// condition.
fn charge(expression: &mut IdedExpr, units: i64) {
    let paid = call(SPEND, vec![ident(BUDGET), int(units)]);
    let value = std::mem::take(expression);
    let null = node(Expr::Literal(LiteralValue::Null));
    *expression = call(operators::CONDITIONAL, vec![paid, value, null]);
}

fn is_constant(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_constant),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => is_constant(&entry.key) && is_constant(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        Expr::Call(call) => call.func_name == operators::NEGATE && call.args.iter().all(is_constant),
        _ => false,
    }
}

/// Returns the number of nodes of an expression, an estimate of its cost per evaluation.
fn nodes(expression: &IdedExpr) -> i64 {
    1 + match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).map(nodes).sum(),
        Expr::Select(select) => nodes(&select.operand),
        Expr::List(list) => list.elements.iter().map(nodes).sum(),
        Expr::Map(map) => 4 * i64::try_from(map.entries.len()).unwrap_or(i64::MAX / 8),
        Expr::Comprehension(inner) => 4 + nodes(&inner.iter_range),
        _ => 0,
    }
}

impl CostBounder {
    fn visit(&mut self, expression: &mut IdedExpr) -> Result<(), BoundError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return refuse(
                expression.id,
                format!("is nested more than {DEPTH_MAX} levels deep: use fewer levels"),
            );
        }
        let (id, is_constant) = (expression.id, is_constant(expression));
        match &mut expression.expr {
            _ if is_constant => {}
            Expr::Literal(_) | Expr::Unspecified => {}
            Expr::Ident(name) => self.check_name(id, name)?,
            Expr::Select(select) => self.visit_select(id, select)?,
            Expr::List(_) | Expr::Map(_) => {
                return refuse(id, "a list or map may contain only constants: compare its parts one by one");
            }
            Expr::Struct(_) => {
                return refuse(id, "filters cannot create messages: compare members one by one");
            }
            Expr::Comprehension(comprehension) => self.visit_loop(id, comprehension)?,
            Expr::Call(_) => self.visit_call(expression)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn check_name(&self, id: u64, name: &str) -> Result<(), BoundError> {
        if name == "event" || TYPES.contains(&name) || self.variables.iter().any(|variable| variable == name)
        {
            return Ok(());
        }
        refuse(
            id,
            format!("'{name}' is unknown: a filter sees the event as `event`, as in event.data.status"),
        )
    }

    fn visit_select(&mut self, id: u64, select: &mut SelectExpr) -> Result<(), BoundError> {
        let is_event = matches!(&select.operand.expr, Expr::Ident(name) if name == "event");
        if is_event && !MEMBERS.contains(&select.field.as_str()) {
            let field = &select.field;
            let hint =
                nearest(field, MEMBERS).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            return refuse(
                id,
                format!("an event has no member '{field}', only {}{hint}", MEMBERS.join(", ")),
            );
        }
        self.visit(&mut select.operand)
    }

    fn visit_call(&mut self, expression: &mut IdedExpr) -> Result<(), BoundError> {
        let id = expression.id;
        let Expr::Call(call) = &mut expression.expr else { return Ok(()) };
        for operand in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
            self.visit(operand)?;
        }
        let name = call.func_name.as_str();
        if name == "matches" {
            return self.visit_matches(id, expression);
        }
        if name == operators::ADD {
            SUM.clone_into(&mut call.func_name);
        } else if name == operators::IN {
            if let Some(container) = call.args.last_mut() {
                weigh(container, 1);
            }
        } else if COMPARE.contains(&name) {
            let is_cheap = call.args.iter().any(is_constant);
            if let Some(operand) = call.args.first_mut().filter(|_| !is_cheap) {
                weigh(operand, 1);
            }
        } else if WHOLE.contains(&name) {
            if let Some(operand) = call.target.as_deref_mut().or(call.args.first_mut()) {
                weigh(operand, 1);
            }
        } else if !CHEAP.contains(&name) {
            return refuse(
                id,
                format!("'{name}' is not a function of filters: expected one of {}", WHOLE.join(", ")),
            );
        }
        Ok(())
    }

    /// Compiles the constant regular expression of `text.matches("pattern")`.
    fn visit_matches(&mut self, id: u64, expression: &mut IdedExpr) -> Result<(), BoundError> {
        let Expr::Call(CallExpr { target, args, .. }) = &mut expression.expr else { return Ok(()) };
        let mut operands = target.take().map(|target| *target).into_iter().chain(args.drain(..));
        let (Some(mut text), Some(pattern), None) = (operands.next(), operands.next(), operands.next())
        else {
            return refuse(id, "matches takes a text and a pattern, as in event.type.matches(\"^TODO_\")");
        };
        drop(operands);
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return refuse(id, "the pattern of matches must be a constant");
        };
        let compiled = RegexBuilder::new(pattern.inner()).size_limit(PATTERN_BYTES_MAX).build();
        let compiled = compiled.or_else(|error| refuse(id, format!("the pattern of matches: {error}")))?;
        let name = pattern_name(self.patterns.len());
        self.patterns.push(compiled);
        weigh(&mut text, PATTERN_FACTOR);
        *expression = call(MATCHES, vec![ident(&name), text]);
        Ok(())
    }

    /// Visits a loop that a macro was expanded to, and rejects `map`.
    ///
    /// `all` and `exists` combine with `&&` and `||`. `exists_one` and `filter` have a conditional step.
    /// `map` has any other step.
    fn visit_loop(&mut self, id: u64, inner: &mut ComprehensionExpr) -> Result<(), BoundError> {
        self.visit(&mut inner.iter_range)?;
        weigh(&mut inner.iter_range, LOOP_FACTOR);
        if self.variables.len() == LOOPS_MAX {
            return refuse(id, format!("has more than {LOOPS_MAX} nested loops: use fewer"));
        }
        let iter_var = inner.iter_var.clone();
        self.variables.push(iter_var.clone());
        let Expr::Call(step) = &mut inner.loop_step.expr else {
            return refuse(id, "is not a loop that filters support");
        };
        match (step.func_name.as_str(), step.args.as_mut_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, body]) => {
                self.visit(body)?;
                charge(&mut inner.loop_cond, 4 + nodes(body));
            }
            (operators::CONDITIONAL, [guard, then, _]) if !makes_values(then, &iter_var) => {
                self.visit(guard)?;
                let units = 4 + nodes(guard);
                charge(guard, units);
            }
            _ => {
                return refuse(id, "map is not supported in filters: use exists, all, exists_one or filter");
            }
        }
        self.variables.pop();
        Ok(())
    }
}

/// Returns whether a conditional step adds anything but the element itself to a list.
fn makes_values(step: &IdedExpr, iter_var: &str) -> bool {
    let Expr::Call(CallExpr { args, .. }) = &step.expr else { return true };
    match args.last().map(|added| &added.expr) {
        Some(Expr::Literal(_)) => false,
        Some(Expr::List(list)) => !list
            .elements
            .iter()
            .all(|element| matches!(&element.expr, Expr::Ident(name) if name == iter_var)),
        _ => true,
    }
}
