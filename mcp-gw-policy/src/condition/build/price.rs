//! What is paid for, and what it can come to.

use cel::common::ast::{Expr, IdedExpr};

use super::{Builder, call, ident, text_literal};
use crate::condition::meter::{METER, Pay, STEP_BYTES, len};

/// A number for values as large as they get, and one for values as large as a caller can make them:
/// what the issuer of a credential or the author of the policy says may be large, and is so on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::condition) struct Worst {
    pub(in crate::condition) ever: u64,
    pub(in crate::condition) by_caller: u64,
}

impl Worst {
    pub(super) const BEYOND: Self = Self::both(u64::MAX);
    /// Values of arguments, see [`crate::condition::ArgumentLimits::values`].
    const ARGUMENTS: Self = Self::both(1000);
    /// Values of claims, roles, static variables.
    const VOUCHED: Self = Self {
        ever: 8000,
        by_caller: 1000,
    };
    /// Values of headers, and parts of a text.
    const OTHERS: Self = Self::both(8000);

    pub(super) const fn both(number: u64) -> Self {
        Self {
            ever: number,
            by_caller: number,
        }
    }

    fn with(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            ever: join(self.ever, other.ever),
            by_caller: join(self.by_caller, other.by_caller),
        }
    }
}

impl Builder<'_> {
    /// Has an expression paid for. What is written out in the source costs nothing: its length is
    /// bounded, and [`Builder::count`] counts it.
    pub(super) fn pay(&mut self, how: Pay, expr: IdedExpr) -> IdedExpr {
        if is_written_out(&expr.expr) {
            return expr;
        }
        let values = self.values(&expr);
        let steps = Worst {
            ever: how.at_most(values.ever),
            by_caller: how.at_most(values.by_caller),
        };
        self.reckon(steps, root_of(&expr));
        let id = expr.id;
        call(id, how.function(), vec![ident(id, METER), expr])
    }

    /// How many values may be in what an expression gives.
    pub(super) fn values(&self, expr: &IdedExpr) -> Worst {
        let Some(root) = root_of(expr) else {
            return Worst::OTHERS;
        };
        if let Some(inner) = self.loops.iter().rev().find(|inner| inner.variable == root) {
            return inner.values;
        }
        let first = root.split('.').next().unwrap_or_default();
        match first {
            "jwt" | "oauth" | "vars" | "identity" | "consumer" => Worst::VOUCHED,
            "mcp" => Worst::ARGUMENTS,
            _ => Worst::OTHERS,
        }
    }

    /// Adds to what the whole can cost at most. All that a loop goes over is no larger than one value.
    pub(super) fn reckon(&mut self, steps: Worst, of: Option<&str>) {
        let own = of.and_then(|of| self.loops.iter().rposition(|inner| inner.variable == of));
        let others = self
            .loops
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != own);
        let steps = others.fold(steps, |all, (_, inner)| {
            all.with(inner.rounds, u64::saturating_mul)
        });
        self.worst = self.worst.with(steps, u64::saturating_add);
    }

    pub(super) fn count(&mut self, expr: &Expr) {
        self.nodes = self.nodes.saturating_add(1);
        let text = text_literal(expr).map_or(0, len);
        if let Some(inner) = self.loops.last_mut() {
            let steps = text / STEP_BYTES + 1;
            inner.nodes = inner.nodes.saturating_add(steps);
            self.reckon(Worst::both(steps), None);
        }
    }
}

/// Literals, and lists of them.
pub(super) fn is_written_out(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list
            .elements
            .iter()
            .all(|item| matches!(item.expr, Expr::Literal(_))),
        _ => false,
    }
}

/// The variable that an expression is, or is a member of.
pub(super) fn root_of(mut expr: &IdedExpr) -> Option<&str> {
    loop {
        match &expr.expr {
            Expr::Ident(name) => return Some(name),
            Expr::Select(select) => expr = &select.operand,
            _ => return None,
        }
    }
}
