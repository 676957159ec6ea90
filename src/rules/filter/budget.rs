//! The cost budget of an evaluation, and the functions that spend it.
//!
//! One unit is about one step of the interpreter, or 16 bytes read. The module `bounds` rewrites an
//! expression so that it spends units wherever its cost depends on the event.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::types::{
    CelBool, CelBytes, CelInt, CelList, CelMap, CelString, DYN_TYPE, INT_TYPE, STRING_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::Regex;

/// The units that one evaluation can spend.
const UNITS: u64 = 500_000;
const BYTES_PER_UNIT: u64 = 16;
/// The longest text that `+` can create, in bytes.
const SUM_BYTES_MAX: usize = 4096;

/// The variable that holds the budget.
pub(super) const BUDGET: &str = "@budget";
/// `@spend(@budget, units)`: spends units and returns true, or fails.
pub(super) const SPEND: &str = "@spend";
/// `@weigh(@budget, factor, value)`: spends `factor` times the size of the value and returns the value, or
/// fails.
pub(super) const WEIGH: &str = "@weigh";
/// `@sum(a, b)`: `a + b`, with a bounded result.
pub(super) const SUM: &str = "@sum";
/// `@matches(pattern, text)`: whether a compiled regular expression matches the text.
pub(super) const MATCHES: &str = "@matches";

static BUDGET_TYPE: Type = budget_type();
static PATTERN_TYPE: Type = pattern_type();

const fn budget_type() -> Type {
    Type::new_unspecified_type("budget")
}

const fn pattern_type() -> Type {
    Type::new_unspecified_type("pattern")
}

macro_rules! opaque {
    ($name:ident, $cel_type:ident) => {
        impl Val for $name {
            fn get_type(&self) -> &Type {
                &$cel_type
            }

            fn cel_type() -> &'static Type {
                &$cel_type
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $name {}
    };
}

/// The remaining units, as a value that the expression can pass to functions.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicU64>);

/// A compiled regular expression as a CEL value.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) Regex);

opaque!(Budget, BUDGET_TYPE);
opaque!(Pattern, PATTERN_TYPE);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(UNITS)))
    }

    /// Resets the budget for another filter.
    pub(super) fn refill(&self) {
        self.0.store(UNITS, Ordering::Relaxed);
    }

    /// Returns whether the evaluation asked for more units than there were. Its result is meaningless then.
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Spends units. Once the budget is exhausted, this call and all later calls fail.
    fn spend(&self, units: u64) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(units);
        self.0.store(left, Ordering::Relaxed);
        if left == 0 { Err(ExecutionError::function_error("filter", "cost budget exceeded")) } else { Ok(()) }
    }
}

/// Returns the units that reading all of a value costs. Stops counting soon after `most`.
fn weight(value: &dyn Val, most: u64) -> u64 {
    let text = |bytes: usize| 1 + bytes as u64 / BYTES_PER_UNIT;
    if let Some(string) = value.downcast_ref::<CelString<'_>>() {
        return text(string.len());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return text(bytes.inner().len());
    }
    let mut sum = 1;
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        for element in list.inner() {
            if sum > most {
                break;
            }
            sum += weight(element.as_ref(), most - sum);
        }
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for member in map.inner().values() {
            if sum > most {
                break;
            }
            sum += 2 + weight(member.as_ref(), most - sum);
        }
    }
    sum
}

fn misused() -> ExecutionError {
    ExecutionError::missing_argument_or_target()
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter's signature")]
fn spend<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [budget, units] = args.as_slice() else { return Err(misused()) };
    let budget = budget.downcast_ref::<Budget>().ok_or_else(misused)?;
    let units = units.downcast_ref::<CelInt>().ok_or_else(misused)?;
    budget.spend(units.inner().unsigned_abs())?;
    Ok(CowVal::owned(CelBool::from(true)))
}

fn weigh<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or_else(misused)?;
    let [budget, factor] = args.as_slice() else { return Err(misused()) };
    let budget = budget.downcast_ref::<Budget>().ok_or_else(misused)?;
    let factor = factor.downcast_ref::<CelInt>().ok_or_else(misused)?.inner().unsigned_abs();
    budget.spend(weight(value.as_ref(), UNITS).saturating_mul(factor))?;
    Ok(value)
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter's signature")]
fn sum<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [a, b] = args.as_slice() else { return Err(misused()) };
    let length = |value: &CowVal<'_, '_>| {
        let string = value.downcast_ref::<CelString<'_>>().map(|string| string.len());
        string.or_else(|| value.downcast_ref::<CelBytes<'_>>().map(|bytes| bytes.inner().len()))
    };
    if a.downcast_ref::<CelList<'_>>().is_some() {
        return Err(ExecutionError::function_error(
            "+",
            "filters cannot join lists: test each list by itself",
        ));
    }
    if length(a).unwrap_or(0).saturating_add(length(b).unwrap_or(0)) > SUM_BYTES_MAX {
        let message =
            format!("the text would be longer than {SUM_BYTES_MAX} bytes: test each part by itself");
        return Err(ExecutionError::function_error("+", message));
    }
    let adder = a.as_adder().ok_or_else(|| {
        let types = [a, b].map(|value| value.get_type().name().to_owned());
        ExecutionError::no_such_overload("_+_", types.into())
    })?;
    Ok(CowVal::Owned(adder.add(b.as_ref())?.into_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter's signature")]
fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [pattern, text] = args.as_slice() else { return Err(misused()) };
    let pattern = pattern.downcast_ref::<Pattern>().ok_or_else(misused)?;
    let text = text.downcast_ref::<CelString<'_>>().ok_or_else(misused)?;
    Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner()))))
}

/// Returns the standard environment with the functions of this module.
pub(super) fn environment() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    env.add_overload(SPEND, SPEND, vec![budget_type(), INT_TYPE], spend)?;
    env.add_overload(WEIGH, WEIGH, vec![budget_type(), INT_TYPE, DYN_TYPE], weigh)?;
    env.add_overload(SUM, SUM, vec![DYN_TYPE, DYN_TYPE], sum)?;
    env.add_overload(MATCHES, MATCHES, vec![pattern_type(), STRING_TYPE], matches)?;
    Ok(env)
}
