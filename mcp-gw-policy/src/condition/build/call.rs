//! Operators and functions.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators as op};
use mcp_gw_core::Glob;
use regex::RegexBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::{Builder, Typed, call, ident, node, path_of, text_literal};
use crate::condition::functions::Matcher;
use crate::condition::kind::Kind;
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
        let short = called.args.iter().any(|arg| is_short(&arg.expr));
        let literal_list = called
            .args
            .last()
            .is_some_and(|arg| matches!(&arg.expr, Expr::List(list) if list.elements.iter().all(|item| is_short(&item.expr))));
        let mut kinds = Vec::with_capacity(called.args.len());
        let mut args = Vec::with_capacity(called.args.len());
        for arg in called.args {
            let (arg, kind) = self.expr(arg);
            args.push(arg);
            kinds.push(kind);
        }
        let gives = self.operated(id, &called.func_name, &args, &kinds, (short, literal_list));
        (call(id, &called.func_name, args), gives)
    }

    /// What an operator gives, and what it costs; `short` says whether it has a literal beside it, and
    /// whether its last operand is a list of them.
    fn operated(
        &mut self,
        id: u64,
        name: &str,
        args: &[IdedExpr],
        kinds: &[Kind],
        (short, literal_list): (bool, bool),
    ) -> Kind {
        let scalar = kinds
            .iter()
            .any(|kind| matches!(kind, Kind::Number | Kind::Bool));
        let bulk = self.bulk_of(args);
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
            (op::EQUALS | op::NOT_EQUALS, [left, right]) => {
                match (short || scalar, *left == Kind::Text || *right == Kind::Text) {
                    (true, _) => {}
                    (_, true) => self.charge(bulk, 0),
                    _ => self.charge(bulk, bulk),
                }
                self.comparable(id, *left, *right);
                Kind::Bool
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [left, right]) => {
                if !short && !scalar {
                    self.charge(bulk, 0);
                }
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
                    self.names_scope(item, list);
                }
                let structures = if literal_list { 0 } else { bulk };
                match args.last().map(|within| &within.expr) {
                    Some(Expr::Ident(name)) => self.charge_list(name, bulk, structures),
                    _ => self.charge(bulk, structures),
                }
                self.member_of(id, *item, *list);
                Kind::Bool
            }
            (op::INDEX, [list, _]) => {
                self.charge(1, 0);
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
            (_, [left, right]) => {
                if !scalar {
                    // A text that was put together is copied as a whole.
                    let whole = args.iter().map(|arg| self.bulk(arg));
                    let whole = whole.fold(0, u64::saturating_add).max(1);
                    let is_sum = args.iter().any(
                        |arg| matches!(&arg.expr, Expr::Call(call) if call.func_name == op::ADD),
                    );
                    let times = if is_sum { whole } else { 1 };
                    self.charge(times.saturating_mul(2), times);
                }
                self.arithmetic(id, name, *left, *right)
            }
            _ => Kind::Any,
        }
    }

    /// A look into a list. Those of the identity are vouched for, and looked at once cost nothing.
    fn charge_list(&mut self, list: &str, texts: u64, structures: u64) {
        if !list.starts_with("identity.") || !self.loops.is_empty() {
            self.charge(texts, structures);
        }
    }

    /// Keeps the scopes that a condition asks for by name: they may be what a caller lacks.
    fn names_scope(&mut self, item: &IdedExpr, list: &str) {
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
        let bulk = target.as_ref().map_or(1, |(target, _)| self.bulk(target));
        let bulk = bulk.max(self.bulk_of(&args));
        if name == "split" {
            self.charge_splits(bulk);
        } else {
            self.charge(function.walks.saturating_mul(bulk), 0);
        }
        let gives = function.gives;
        let expr = Expr::Call(CallExpr {
            func_name: name,
            target: target.map(|(target, _)| Box::new(target)),
            args,
        });
        (node(id, expr), gives)
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
        let matcher = match name {
            "ip_in" => Cidrs::parse(texts.iter().copied())
                .map(|cidrs| Matcher::Cidrs(Arc::new(cidrs)))
                .map_err(|error| error.to_string()),
            "glob" => Glob::parse(texts.first()?)
                .map(|glob| Matcher::Glob(Arc::new(glob)))
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
        // A pattern of many states takes longer for each character.
        let states = match name {
            "matches" => texts
                .first()
                .and_then(|text| regex_syntax::parse(text).ok()),
            _ => None,
        };
        let states = states.map_or(0, |hir| states_of(&hir));
        let walks = (states / 4).saturating_add(4);
        let bulk = self.bulk(&subject).max(1);
        self.charge(walks.saturating_mul(bulk), 0);
        let variable = ident(id, format!("@m{}", self.matchers.len()));
        match matcher {
            Ok(matcher) => {
                let function = matcher.function();
                self.matchers.push(matcher);
                Some((call(id, function, vec![variable, subject]), Kind::Bool))
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
        self.names_scope(&item, list);
        self.charge_list(list, 1, 1);
        (call(id, op::IN, vec![item, ident(id, list)]), Kind::Bool)
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

fn pattern(text: &str) -> Result<Matcher, String> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_SIZE)
        .dfa_size_limit(PATTERN_SIZE)
        .build()
        .map(Matcher::Regex)
        .map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            format!(
                "`{text}` is not a pattern: {}",
                last.trim_start_matches("error: ")
            )
        })
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

/// Literals: comparing with one of them costs what the literal is long, which is part of the source.
const fn is_short(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(_))
}

fn is_operator(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// An operator as it is written.
fn symbol(operator: &str) -> &str {
    operator.trim_matches('_').trim_start_matches('@')
}
