//! What a condition may come to when arguments are known: for lists, which have none (P-10).

use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators as op};
use cel::common::types::CelBool;
use cel::{Context, Value as CelValue};
use mcp_gw_core::Feature;

use super::{Condition, RequestFacts};

/// What an expression may come to with some arguments.
///
/// Parts that do not look at arguments are evaluated; each of the others may come to anything, by
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Possible {
    pub(crate) truth: bool,
    pub(crate) falsehood: bool,
    pub(crate) error: bool,
}

impl Possible {
    const ANYTHING: Self = Self {
        truth: true,
        falsehood: true,
        error: true,
    };
    const ERROR: Self = Self {
        truth: false,
        falsehood: false,
        error: true,
    };

    const fn only(truth: bool) -> Self {
        Self {
            truth,
            falsehood: !truth,
            error: false,
        }
    }

    const fn not(self) -> Self {
        Self {
            truth: self.falsehood,
            falsehood: self.truth,
            error: self.error,
        }
    }

    /// `a && b`: what is false outweighs an error on either side.
    const fn and(self, other: Self) -> Self {
        Self {
            truth: self.truth && other.truth,
            falsehood: self.falsehood || other.falsehood,
            error: (self.error && (other.truth || other.error))
                || (other.error && (self.truth || self.error)),
        }
    }

    const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Condition {
    /// What it may come to for something in a list, within so many steps.
    pub(crate) fn possible(&self, facts: &RequestFacts<'_, '_>, steps: u64) -> Possible {
        let found = self.metered(facts, steps, |scope| {
            let mut context = Context::with_env(Arc::clone(&self.env));
            context.set_variable_resolver(scope);
            possible(&self.tree, &context, facts.feature())
        });
        found.unwrap_or(Possible::ERROR)
    }
}

fn possible(expr: &IdedExpr, context: &Context<'_, '_>, feature: Feature) -> Possible {
    if !looks_at_arguments(expr, feature) {
        let value = CelValue::resolve_val(expr, context);
        let truth = value.ok().and_then(|value| {
            let truth = value.downcast_ref::<CelBool>();
            truth.map(|truth| *truth.inner())
        });
        return truth.map_or(Possible::ERROR, Possible::only);
    }
    let Expr::Call(call) = &expr.expr else {
        return Possible::ANYTHING;
    };
    let of = |expr| possible(expr, context, feature);
    match (call.func_name.as_str(), call.args.as_slice()) {
        (op::LOGICAL_NOT, [inner]) => of(inner).not(),
        (op::LOGICAL_AND, [left, right]) => of(left).and(of(right)),
        (op::LOGICAL_OR, [left, right]) => of(left).or(of(right)),
        (op::CONDITIONAL, [test, then, otherwise]) => {
            let test = of(test);
            let none = Possible {
                truth: false,
                falsehood: false,
                error: false,
            };
            let then = if test.truth { of(then) } else { none };
            let otherwise = if test.falsehood { of(otherwise) } else { none };
            Possible {
                truth: then.truth || otherwise.truth,
                falsehood: then.falsehood || otherwise.falsehood,
                error: test.error || then.error || otherwise.error,
            }
        }
        _ => Possible::ANYTHING,
    }
}

/// True when it looks at the arguments that something of this feature is used with. Does not recurse.
fn looks_at_arguments(expr: &IdedExpr, feature: Feature) -> bool {
    let wanted = match feature {
        Feature::Tool => "mcp.tool.arguments",
        Feature::Prompt => "mcp.prompt.arguments",
        _ => return false,
    };
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match &expr.expr {
            Expr::Ident(name) if name.trim_start_matches('?') == wanted => return true,
            Expr::Call(call) => open.extend(call.args.iter().chain(call.target.as_deref())),
            Expr::Select(select) => open.push(&select.operand),
            Expr::List(list) => open.extend(&list.elements),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        open.extend([&entry.key, &entry.value]);
                    }
                }
            }
            Expr::Comprehension(inner) => open.extend([
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ]),
            Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }
    false
}
