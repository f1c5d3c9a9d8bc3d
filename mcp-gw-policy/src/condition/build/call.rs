//! Operators and functions.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};
use mcp_gw_core::Glob;
use regex::RegexBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::{
    Builder, Typed, Worst, call, ident, is_written_out, node, path_of, root_of, text_literal,
};
use crate::condition::functions::{Matcher, What};
use crate::condition::kind::Kind;
use crate::condition::meter::{METER, Pay, len};
use crate::condition::names;
use crate::fault::{nearest, shown};
use crate::ip::Cidrs;
use crate::rbac::{SCOPES_ARE, is_scope};

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 256 << 10;

impl Builder<'_> {
    pub(super) fn call(&mut self, id: u64, called: CallExpr) -> Typed {
        if let Some(own) = self.own_function(id, &called) {
            return own;
        }
        if called.target.is_none() && is_operator(&called.func_name) {
            return self.operator(id, called);
        }
        self.function(id, called)
    }

    fn operator(&mut self, id: u64, called: CallExpr) -> Typed {
        let mut kinds = Vec::with_capacity(called.args.len());
        let mut args = Vec::with_capacity(called.args.len());
        for arg in called.args {
            let (arg, kind) = self.expr(arg);
            args.push(arg);
            kinds.push(kind);
        }
        let gives = self.operated(id, &called.func_name, &args, &kinds);
        let args = self.paid(&called.func_name, args, &kinds);
        (call(id, &called.func_name, args), gives)
    }

    /// What an operator gives.
    fn operated(&mut self, id: u64, name: &str, args: &[IdedExpr], kinds: &[Kind]) -> Kind {
        match (name, kinds) {
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, _) => {
                for (kind, arg) in kinds.iter().zip(args) {
                    self.needs(arg.id, *kind, Kind::Bool, symbol(name));
                }
                Kind::Bool
            }
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                self.needs(id, *condition, Kind::Bool, "?:");
                if then == otherwise { *then } else { Kind::Any }
            }
            (
                op::EQUALS
                | op::NOT_EQUALS
                | op::LESS
                | op::LESS_EQUALS
                | op::GREATER
                | op::GREATER_EQUALS,
                [left, right],
            ) => {
                self.comparable(id, *left, *right);
                Kind::Bool
            }
            (op::IN, [item, list]) => {
                if let [
                    item,
                    IdedExpr {
                        expr: Expr::Ident(list),
                        ..
                    },
                ] = args
                {
                    self.names_held(item, list);
                }
                self.member_of(id, *item, *list);
                Kind::Bool
            }
            (op::INDEX, [list, _]) => {
                if *list == Kind::Texts {
                    Kind::Text
                } else {
                    Kind::Any
                }
            }
            (op::NEGATE, [kind]) => {
                self.needs(id, *kind, Kind::Number, "-");
                Kind::Number
            }
            (_, [left, right]) => self.arithmetic(id, name, *left, *right),
            _ => Kind::Any,
        }
    }

    /// Has the operands of an operator paid for.
    fn paid(&mut self, name: &str, args: Vec<IdedExpr>, kinds: &[Kind]) -> Vec<IdedExpr> {
        let args = <[IdedExpr; 2]>::try_from(args);
        let (Ok([left, right]), [left_kind, right_kind]) = (args.as_ref(), kinds) else {
            return args.map_or_else(|args| args, Vec::from);
        };
        let (left, right) = (left.clone(), right.clone());
        let (left_kind, right_kind) = (*left_kind, *right_kind);
        match name {
            op::LOGICAL_AND | op::LOGICAL_OR => vec![left, right],
            op::EQUALS | op::NOT_EQUALS => self.paid_equality(left, right, left_kind, right_kind),
            op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS => {
                vec![
                    self.paid_comparison(left, left_kind),
                    self.paid_comparison(right, right_kind),
                ]
            }
            op::IN => self.paid_search(left, right, right_kind),
            op::INDEX => {
                let is_double = matches!(&right.expr, Expr::Literal(LiteralValue::Double(_)));
                let right = if is_double {
                    let id = right.id;
                    call(id, Pay::Index.function(), vec![ident(id, METER), right])
                } else {
                    self.pay(Pay::Index, right)
                };
                vec![left, right]
            }
            // What `map` and `filter` collect is appended in place.
            op::ADD if self.is_result(&left) => vec![left, right],
            _ => {
                let grows = !left_kind.is_scalar() && !right_kind.is_scalar();
                if name == op::ADD && grows && !self.loops.is_empty() {
                    // How large it gets cannot be told from here.
                    self.worst = Worst::BEYOND;
                }
                vec![
                    self.paid_operand(left, left_kind),
                    self.paid_operand(right, right_kind),
                ]
            }
        }
    }

    fn is_result(&self, expr: &IdedExpr) -> bool {
        let Expr::Ident(name) = &expr.expr else {
            return false;
        };
        self.loops.last().is_some_and(|inner| inner.result == *name)
    }

    fn paid_operand(&mut self, expr: IdedExpr, kind: Kind) -> IdedExpr {
        if kind.is_scalar() {
            return expr;
        }
        self.pay(Pay::Copy, expr)
    }

    /// Two values that are equal are equally large, and one that is larger is not walked to its end.
    fn paid_equality(
        &mut self,
        left: IdedExpr,
        right: IdedExpr,
        left_kind: Kind,
        right_kind: Kind,
    ) -> Vec<IdedExpr> {
        let is_cheap = |expr: &IdedExpr, kind: Kind| kind.is_scalar() || is_written_out(&expr.expr);
        let is_item = |expr: &IdedExpr| {
            let root = root_of(expr);
            self.loops
                .iter()
                .any(|inner| Some(&*inner.variable) == root)
        };
        let (mut left_pays, mut right_pays) = (None, None);
        if !is_cheap(&left, left_kind) && !is_cheap(&right, right_kind) {
            if is_item(&right) {
                right_pays = Some(Pay::Walk);
            } else {
                left_pays = Some(Pay::Walk);
            }
        }
        vec![
            self.paid_number(left, left_pays),
            self.paid_number(right, right_pays),
        ]
    }

    /// A number that was worked out is not always exact.
    fn paid_number(&mut self, expr: IdedExpr, pays: Option<Pay>) -> IdedExpr {
        let is_worked_out =
            matches!(&expr.expr, Expr::Call(call) if is_arithmetic(&call.func_name));
        let expr = match pays {
            Some(pay) => self.pay(pay, expr),
            None => expr,
        };
        if is_worked_out {
            self.pay(Pay::Exact, expr)
        } else {
            expr
        }
    }

    fn paid_comparison(&mut self, expr: IdedExpr, kind: Kind) -> IdedExpr {
        match kind {
            Kind::Text => self.pay(Pay::Walk, expr),
            Kind::Any => self.pay(Pay::Compared, expr),
            _ if kind.is_scalar() => self.paid_number(expr, None),
            _ => self.pay(Pay::Copy, expr),
        }
    }

    fn paid_search(&mut self, item: IdedExpr, list: IdedExpr, kind: Kind) -> Vec<IdedExpr> {
        // The lists of the identity are vouched for, and looked at once cost nothing.
        let is_vouched = matches!(&list.expr, Expr::Ident(name) if name.starts_with("identity."));
        if is_written_out(&list.expr) || (is_vouched && self.loops.is_empty()) {
            return vec![item, list];
        }
        let item = self.pay(Pay::Text, item);
        match kind {
            Kind::Map => vec![item, list],
            _ => vec![item, self.pay(Pay::Walk, list)],
        }
    }

    /// Keeps the scopes, roles and groups that a condition asks for by name: they may be what a caller lacks.
    fn names_held(&mut self, item: &IdedExpr, list: &str) {
        if list == "identity.roles" {
            self.roles
                .extend(text_literal(&item.expr).map(str::to_owned));
        }
        if list == "identity.groups" {
            self.groups
                .extend(text_literal(&item.expr).map(str::to_owned));
        }
        if list == "identity.scopes" {
            if let Some(scope) = text_literal(&item.expr).filter(|scope| !is_scope(scope)) {
                let message = format!("{} is no OAuth scope: {SCOPES_ARE}", shown(scope));
                self.problem(item.id, message);
            }
            self.scopes
                .extend(text_literal(&item.expr).map(str::to_owned));
        }
    }

    fn needs(&mut self, id: u64, is: Kind, wanted: Kind, by: &str) {
        if !is.may_be(wanted) {
            self.problem(
                id,
                format!("`{by}` needs {}, this is {}", wanted.name(), is.name()),
            );
        }
    }

    fn comparable(&mut self, id: u64, left: Kind, right: Kind) {
        if !left.is_apart_from(right) {
            return;
        }
        let hint = match (left, right) {
            (Kind::Text, Kind::Texts | Kind::List) | (Kind::Texts | Kind::List, Kind::Text) => {
                "; `x in list` asks whether a list holds a value"
            }
            _ => "",
        };
        let (left, right) = (left.name(), right.name());
        self.problem(id, format!("{left} is compared with {right}{hint}"));
    }

    fn member_of(&mut self, id: u64, item: Kind, list: Kind) {
        if list == Kind::Text {
            self.problem(
                id,
                "`in` needs a list or a map; `text.contains(part)` searches a string",
            );
        } else if !list.may_be(Kind::List) && !list.may_be(Kind::Map) {
            self.problem(
                id,
                format!("`in` needs a list or a map, this is {}", list.name()),
            );
        } else if list == Kind::Texts && !item.may_be(Kind::Text) {
            self.problem(id, format!("{} is never in a list of strings", item.name()));
        }
    }

    fn arithmetic(&mut self, id: u64, name: &str, left: Kind, right: Kind) -> Kind {
        let of_time = |kind: Kind| matches!(kind, Kind::Time | Kind::Span);
        if left == Kind::Any || right == Kind::Any || of_time(left) || of_time(right) {
            return Kind::Any;
        }
        let adds = name == op::ADD;
        match (left, right) {
            (Kind::Number, Kind::Number) => Kind::Number,
            (Kind::Text, Kind::Text) if adds => Kind::Text,
            (Kind::Bytes, Kind::Bytes) if adds => Kind::Bytes,
            (Kind::Texts, Kind::Texts) if adds => Kind::Texts,
            (left, right) if adds && left.is_list() && right.is_list() => Kind::List,
            _ => {
                let (left, right) = (left.name(), right.name());
                let sign = symbol(name);
                self.problem(id, format!("`{sign}` does not apply to {left} and {right}"));
                Kind::Any
            }
        }
    }

    /// A function of the standard library.
    fn function(&mut self, id: u64, called: CallExpr) -> Typed {
        let name = called.func_name;
        let is_member = called.target.is_some();
        let target = called.target.map(|target| self.expr(*target));
        let mut kinds = Vec::with_capacity(called.args.len());
        let mut args = Vec::with_capacity(called.args.len());
        for arg in called.args {
            let (arg, kind) = self.expr(arg);
            args.push(arg);
            kinds.push(kind);
        }
        let named: Vec<_> = names::FUNCTIONS
            .iter()
            .filter(|function| function.name == name)
            .collect();
        if named.is_empty() {
            self.unknown_function(id, &name);
            return (call(id, &name, args), Kind::Any);
        }
        let receiver = target.as_ref().map(|(_, kind)| *kind);
        let fitting = named.iter().find(|function| {
            function.receiver.is_some() == is_member
                && function
                    .receiver
                    .zip(receiver)
                    .is_none_or(|(wanted, is)| is.may_be(wanted))
                && function.args.len() == kinds.len()
                && function
                    .args
                    .iter()
                    .zip(&kinds)
                    .all(|(wanted, is)| is.may_be(*wanted))
        });
        let Some(function) = fitting else {
            let on = receiver.map_or_else(String::new, |kind| format!(" on {}", kind.name()));
            let with: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            let message = format!("`{name}` cannot be called{on} with ({})", with.join(", "));
            self.problem(id, message);
            return (call(id, &name, args), Kind::Any);
        };
        let (of_target, of_args, gives) = (function.target, function.each, function.gives);
        let separator = args.first().cloned();
        let target = target.map(|(target, _)| match of_target {
            Some(Pay::Pieces) => self.pay_for_pieces(target, separator),
            Some(pay) => self.pay(pay, target),
            None => target,
        });
        let args = args.into_iter().map(|arg| match of_args {
            Some(pay) => self.pay(pay, arg),
            None => arg,
        });
        let expr = Expr::Call(CallExpr {
            args: args.collect(),
            func_name: name,
            target: target.map(Box::new),
        });
        (node(id, expr), gives)
    }

    /// What is split at something that is not known before may be split at every character.
    fn pay_for_pieces(&mut self, text: IdedExpr, at: Option<IdedExpr>) -> IdedExpr {
        if is_written_out(&text.expr) {
            return text;
        }
        self.reckon(Worst::both(Pay::Pieces.at_most(0)), None);
        let id = text.id;
        let at = at
            .map(|at| at.expr)
            .filter(|at| text_literal(at).is_some())
            .unwrap_or_else(|| Expr::Literal(LiteralValue::String(String::new().into())));
        let args = vec![ident(id, METER), text, node(id, at)];
        call(id, Pay::Pieces.function(), args)
    }

    fn unknown_function(&mut self, id: u64, name: &str) {
        let known = names::FUNCTIONS
            .iter()
            .map(|function| function.name)
            .chain(names::OWN)
            .chain(names::MACROS);
        let message = match nearest(name, known) {
            Some(near) if near == name => format!("`{name}` is not called like this"),
            Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
            None => format!("there is no function `{name}` in conditions"),
        };
        self.problem(id, message);
    }

    /// Functions that are compiled with the condition: patterns, address blocks, and short forms.
    fn own_function(&mut self, id: u64, called: &CallExpr) -> Option<Typed> {
        let name = called.func_name.as_str();
        if !names::OWN.contains(&name) {
            return None;
        }
        // `f(x, 'pattern')` and `x.f('pattern')` are the same.
        let (subject, literals) = match &called.target {
            Some(target) => (&**target, called.args.as_slice()),
            None => called.args.split_first()?,
        };
        if let Some(list) = list_of(name) {
            return Some(self.holds(id, name, subject, list, literals));
        }
        let texts: Vec<&str> = literals
            .iter()
            .filter_map(|arg| text_literal(&arg.expr))
            .collect();
        let wanted = if name == "ip_in" { literals.len() } else { 1 };
        if texts.is_empty() || texts.len() != literals.len() || texts.len() != wanted {
            let message = match name {
                "ip_in" => {
                    "`ip_in` takes CIDR blocks as string literals: source.ip_in('10.0.0.0/8')"
                }
                "glob" => "`glob` takes one string literal: mcp.tool.name.glob('get_*')",
                _ => {
                    "`matches` takes one string literal, which is compiled when the file is loaded"
                }
            };
            self.problem(id, message);
            return Some((ident(id, "@"), Kind::Bool));
        }
        let what = match name {
            "ip_in" => Cidrs::parse(texts.iter().copied())
                .map(|cidrs| What::Cidrs(Arc::new(cidrs)))
                .map_err(|error| error.to_string()),
            "glob" => Glob::parse(texts.first()?)
                .map(|glob| What::Glob(Arc::new(glob)))
                .ok_or_else(|| "a glob cannot end with a backslash".to_owned()),
            _ => pattern(texts.first()?),
        };
        let is_source = path_of(&subject.expr).is_some_and(|path| path == ["source"]);
        let (subject, kind) = if is_source && name == "ip_in" {
            self.reads.anything = true;
            self.reads_request();
            (ident(subject.id, "source.ip"), Kind::Text)
        } else {
            self.expr(subject.clone())
        };
        self.needs(id, kind, Kind::Text, name);
        let walks = walks_of(name, texts.first()?);
        let steps = walks.saturating_mul(Pay::Text.at_most(0));
        self.reckon(Worst::both(steps), root_of(&subject));
        let variable = ident(id, format!("@m{}", self.matchers.len()));
        match what {
            Ok(what) => {
                let matcher = Matcher { what, walks };
                let function = matcher.function();
                self.matchers.push(matcher);
                let args = vec![variable, ident(id, METER), subject];
                Some((call(id, function, args), Kind::Bool))
            }
            Err(message) => {
                self.problem(id, message);
                Some((variable, Kind::Bool))
            }
        }
    }

    /// `identity.has_role(x)` is `x in identity.roles`.
    fn holds(
        &mut self,
        id: u64,
        name: &str,
        subject: &IdedExpr,
        list: &'static str,
        args: &[IdedExpr],
    ) -> Typed {
        let is_identity = path_of(&subject.expr).is_some_and(|path| path == ["identity"]);
        let ([item], true) = (args, is_identity) else {
            self.problem(id, format!("`{name}` is called as identity.{name}('…')"));
            return (ident(id, "@"), Kind::Bool);
        };
        self.reads.anything = true;
        self.reads.caller = true;
        let (item, kind) = self.expr(item.clone());
        self.needs(id, kind, Kind::Text, name);
        self.names_held(&item, list);
        let args = self.paid_search(item, ident(id, list), Kind::Texts);
        (call(id, op::IN, args), Kind::Bool)
    }
}

fn list_of(function: &str) -> Option<&'static str> {
    match function {
        "has_role" => Some("identity.roles"),
        "has_scope" => Some("identity.scopes"),
        "in_group" => Some("identity.groups"),
        _ => None,
    }
}

fn pattern(text: &str) -> Result<What, String> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_SIZE)
        .dfa_size_limit(PATTERN_SIZE)
        .build()
        .map(What::Regex)
        .map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            format!(
                "`{text}` is not a pattern: {}",
                last.trim_start_matches("error: ")
            )
        })
}

/// How often a pattern walks over a text, about: one of many states takes longer for each character.
fn walks_of(function: &str, text: &str) -> u64 {
    let more = match function {
        "matches" => regex_syntax::parse(text).map_or(0, |hir| states_of(&hir) / 4),
        // Where any character may stand each place is tried.
        "glob" if text.contains('?') => len(text) / 16,
        _ => 0,
    };
    more.saturating_add(4)
}

/// About as many states an automaton for it has.
fn states_of(hir: &Hir) -> u64 {
    let all = |parts: &[Hir]| parts.iter().map(states_of).fold(0, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(text) => u64::try_from(text.0.len()).unwrap_or(u64::MAX),
        HirKind::Class(_) => 1,
        HirKind::Repetition(inner) => {
            let times = inner.max.unwrap_or(inner.min).max(1);
            states_of(&inner.sub).saturating_mul(u64::from(times))
        }
        HirKind::Capture(inner) => states_of(&inner.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => all(parts),
    }
}

fn is_arithmetic(name: &str) -> bool {
    matches!(
        name,
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO | op::NEGATE | "double"
    )
}

fn is_operator(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// An operator as it is written.
fn symbol(operator: &str) -> &str {
    operator.trim_matches('_').trim_start_matches('@')
}
