//! From a syntax tree to one that can be evaluated: every name checked, every pattern compiled, every
//! loop paying for its rounds, every walk over a value for what it is long.
//!
//! Facts with a fixed name become variables of that name (`identity.roles` is one variable, not a
//! member of another), `has()` of such a fact becomes the variable `?identity.roles`, compiled
//! patterns the variables `@m0`, `@m1`, …, and the price of a loop's round `@t0`, `@t1`, …. What is
//! walked over or copied stands within a call that pays for it, see [`Pay`].

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
    operators as op,
};
use serde_json::{Map, Value};

use super::functions::Matcher;
use super::kind::Kind;
use super::meter::Pay;
use super::names::{self, About};
use super::{ConditionFault, ConditionLimits, Problem, Reads};
use crate::fault::nearest;
use crate::number::{SKIPS_INTEGERS, keeps_its_digits};

mod call;
mod price;

pub(super) use price::Worst;
use price::{is_written_out, root_of};

/// A condition, ready to be evaluated.
pub(super) struct Built {
    pub(super) tree: IdedExpr,
    pub(super) matchers: Box<[Matcher]>,
    pub(super) ticks: Box<[u64]>,
    /// The steps that it can take at most, for values as large as they get, and those of them that a
    /// caller can make it take.
    pub(super) worst: Worst,
    pub(super) reads: Reads,
    pub(super) scopes: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) groups: Vec<String>,
}

/// Where the nodes of a tree are in its source.
pub(super) struct Positions<'s> {
    source: &'s str,
    info: &'s SourceInfo,
}

impl<'s> Positions<'s> {
    pub(super) const fn new(source: &'s str, info: &'s SourceInfo) -> Self {
        Self { source, info }
    }

    /// The number that is written where a node begins, without its sign.
    fn number(&self, id: u64) -> Option<String> {
        let (start, _) = self.info.offset_for(id)?;
        let from = self.source.chars().skip(usize::try_from(start).ok()?);
        let mut before = ' ';
        let written = from.skip_while(|c| *c == '-' || *c == ' ').take_while(|c| {
            let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            before = *c;
            is_sign || c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E')
        });
        Some(written.collect())
    }

    /// Line and column of a node, from 1, in characters.
    fn of(&self, id: u64) -> Option<(usize, usize)> {
        let (start, _) = self.info.offset_for(id)?;
        let before = self.source.chars().take(usize::try_from(start).ok()?);
        let (mut line, mut column) = (1_usize, 1_usize);
        for passed in before {
            if passed == '\n' {
                (line, column) = (line.saturating_add(1), 1);
            } else {
                column = column.saturating_add(1);
            }
        }
        Some((line, column))
    }
}

/// How many levels a tree has; does not recurse.
pub(super) fn depth(tree: &IdedExpr) -> usize {
    let (mut deepest, mut open) = (0, vec![(tree, 1_usize)]);
    while let Some((expr, level)) = open.pop() {
        deepest = deepest.max(level);
        let below = level.saturating_add(1);
        let mut push = |child| open.push((child, below));
        match &expr.expr {
            Expr::Call(call) => call
                .args
                .iter()
                .chain(call.target.as_deref())
                .for_each(push),
            Expr::Select(select) => push(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(push),
            Expr::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    push(&entry.key);
                    push(&entry.value);
                }
            }),
            Expr::Comprehension(inner) => [
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ]
            .into_iter()
            .for_each(push),
            Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }
    deepest
}

/// Checks and rewrites `tree`.
pub(super) fn build(
    tree: IdedExpr,
    positions: &Positions<'_>,
    vars: &Map<String, Value>,
    limits: &ConditionLimits,
) -> Result<Built, ConditionFault> {
    let mut builder = Builder {
        positions,
        vars,
        limits,
        problems: Vec::new(),
        matchers: Vec::new(),
        ticks: Vec::new(),
        worst: Worst::default(),
        features: [(false, false); 3],
        reads: Reads::default(),
        scopes: Vec::new(),
        roles: Vec::new(),
        groups: Vec::new(),
        nodes: 0,
        loops: Vec::new(),
    };
    let root = tree.id;
    let (tree, kind) = builder.expr(tree);
    if !kind.may_be(Kind::Bool) {
        let message = format!("the condition gives {}, not true or false", kind.name());
        builder.problem(root, message);
    }
    if builder.nodes > limits.nodes {
        builder.problems.push(Problem {
            at: None,
            message: format!(
                "the condition has more than {} parts; split it",
                limits.nodes
            ),
        });
    }
    if !builder.problems.is_empty() {
        builder.problems.truncate(5);
        return Err(ConditionFault {
            problems: builder.problems,
        });
    }
    Ok(Built {
        tree,
        matchers: builder.matchers.into(),
        ticks: builder.ticks.into(),
        worst: builder.worst,
        reads: builder.reads,
        scopes: builder.scopes,
        roles: builder.roles,
        groups: builder.groups,
    })
}

/// A rewritten expression and what it gives.
type Typed = (IdedExpr, Kind);

struct Builder<'b> {
    positions: &'b Positions<'b>,
    vars: &'b Map<String, Value>,
    limits: &'b ConditionLimits,
    problems: Vec<Problem>,
    matchers: Vec<Matcher>,
    ticks: Vec<u64>,
    worst: Worst,
    /// Of tools, resources and prompts: whether something was read, and whether `has()` was asked.
    features: [(bool, bool); 3],
    reads: Reads,
    /// Scopes, roles and groups that it asks for by name.
    scopes: Vec<String>,
    roles: Vec<String>,
    groups: Vec<String>,
    nodes: usize,
    loops: Vec<Loop>,
}

/// A loop that the walk is in.
struct Loop {
    variable: String,
    variable_kind: Kind,
    result: String,
    result_kind: Kind,
    /// How often it goes round at most.
    rounds: Worst,
    /// How many values there are in what it goes over.
    values: Worst,
    /// Operations in a round.
    nodes: u64,
}

const fn node(id: u64, expr: Expr) -> IdedExpr {
    IdedExpr { id, expr }
}

fn call(id: u64, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(
        id,
        Expr::Call(CallExpr {
            func_name: name.to_owned(),
            target: None,
            args,
        }),
    )
}

fn ident(id: u64, name: impl Into<String>) -> IdedExpr {
    node(id, Expr::Ident(name.into()))
}

fn text_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

const fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Bytes(_) => Kind::Bytes,
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Number,
        LiteralValue::Null => Kind::Null,
        LiteralValue::String(_) => Kind::Text,
    }
}

impl Builder<'_> {
    fn problem(&mut self, id: u64, message: impl Into<String>) {
        self.problems.push(Problem {
            at: self.positions.of(id),
            message: message.into(),
        });
    }

    fn expr(&mut self, tree: IdedExpr) -> Typed {
        self.count(&tree.expr);
        if let Some(path) = path_of(&tree.expr) {
            return self.path(tree.id, &path, false);
        }
        let IdedExpr { id, expr } = tree;
        match expr {
            Expr::Literal(literal) => {
                let kind = literal_kind(&literal);
                if let LiteralValue::Double(double) = &literal {
                    self.double(id, *double.inner());
                }
                (node(id, Expr::Literal(literal)), kind)
            }
            Expr::Ident(name) => self.name(id, name),
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(mut list) => {
                let (mut elements, mut all_texts) = (Vec::with_capacity(list.elements.len()), true);
                for element in list.elements {
                    let (element, kind) = self.expr(element);
                    all_texts &= kind == Kind::Text;
                    elements.push(self.pay(Pay::Copy, element));
                }
                list.elements = elements;
                let kind = if all_texts { Kind::Texts } else { Kind::List };
                (node(id, Expr::List(list)), kind)
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        let key = self.expr(std::mem::take(&mut entry.key)).0;
                        entry.key = self.pay(Pay::Copy, key);
                        let value = self.expr(std::mem::take(&mut entry.value)).0;
                        entry.value = self.pay(Pay::Copy, value);
                    }
                }
                (node(id, Expr::Map(map)), Kind::Map)
            }
            Expr::Comprehension(comprehension) => self.comprehension(id, *comprehension),
            Expr::Struct(_) | Expr::Unspecified => {
                self.problem(id, "conditions have no message types");
                (node(id, Expr::Unspecified), Kind::Any)
            }
        }
    }

    /// Numbers are compared exactly, so a literal must be what it says.
    fn double(&mut self, id: u64, double: f64) {
        let written = self.positions.number(id);
        let written = written.as_deref();
        if double.abs() >= SKIPS_INTEGERS {
            let message = "a number with a point or an exponent is not exact from 2^53 on; write it \
                           without, as 9007199254740993";
            self.problem(id, message);
        } else if let Some(written) = written.filter(|written| !keeps_its_digits(written)) {
            let message =
                format!("{written} has more digits than a number keeps; it would be {double}");
            self.problem(id, message);
        }
    }

    /// A name that is no root: a variable of a loop, or a type.
    fn name(&mut self, id: u64, name: String) -> Typed {
        for inner in self.loops.iter().rev() {
            if inner.variable == name {
                return (ident(id, name), inner.variable_kind);
            }
            if inner.result == name {
                return (ident(id, name), inner.result_kind);
            }
        }
        if names::TYPES.contains(&name.as_str()) {
            return (ident(id, name), Kind::Type);
        }
        let roots = names::FIXED_ROOTS.iter().chain(&names::OPEN_ROOTS).copied();
        let locals = self.loops.iter().map(|inner| inner.variable.as_str());
        let message = match nearest(&name, roots.clone().chain(locals)) {
            Some(near) => format!("`{name}` is not a name here; did you mean `{near}`?"),
            None => format!(
                "`{name}` is not a name here; there are {}",
                roots.collect::<Vec<_>>().join(", ")
            ),
        };
        self.problem(id, message);
        (ident(id, name), Kind::Any)
    }

    fn select(&mut self, id: u64, mut select: SelectExpr) -> Typed {
        if select.test {
            if let Some(mut path) = path_of(&select.operand.expr) {
                path.push(select.field);
                return self.path(id, &path, true);
            }
        }
        let (operand, kind) = self.expr(*select.operand);
        if !kind.may_be(Kind::Map) {
            let message = format!("`.{}` is asked of {}", select.field, kind.name());
            self.problem(id, message);
        }
        let kind = if select.test { Kind::Bool } else { Kind::Any };
        select.operand = Box::new(operand);
        (node(id, Expr::Select(select)), kind)
    }

    pub(super) const fn reads_request(&mut self) {
        self.reads.caller = true;
        self.reads.request = true;
    }

    /// A name that begins with a root.
    fn path(&mut self, id: u64, path: &[String], test: bool) -> Typed {
        let root = path.first().map_or("", String::as_str);
        if root == "vars" {
            return self.static_variable(id, path, test);
        }
        self.reads.anything = true;
        self.reads.tls |= root == "tls";
        if names::OPEN_ROOTS.contains(&root) {
            self.reads.caller = true;
            self.reads.open_ended = true;
            return members(id, root, path.get(1..).unwrap_or_default(), test, Kind::Map);
        }
        for length in 2..=path.len().min(3) {
            let (start, rest) = path.split_at(length);
            let joined = start.join(".");
            if let Some(fact) = names::FACTS.iter().find(|fact| fact.path == joined) {
                match fact.about {
                    About::Arguments if fact.path.starts_with("mcp.tool") => {
                        self.reads.tool_arguments = true;
                    }
                    About::Arguments => self.reads.prompt_arguments = true,
                    About::Caller => self.reads.caller = true,
                    About::Request => self.reads_request(),
                    About::Target => self.reads.target = true,
                }
                self.check_members(id, fact.path, fact.kind, rest);
                self.of_feature(fact.path, test);
                if test && rest.is_empty() {
                    return (ident(id, format!("?{}", fact.path)), Kind::Bool);
                }
                self.reads.open_ended |= fact.kind == Kind::Map;
                return members(id, fact.path, rest, test, fact.kind);
            }
            if test && length == path.len() && names::GROUPS.contains(&joined.as_str()) {
                if joined == "mcp.client" {
                    self.reads_request();
                } else {
                    self.reads.target = true;
                }
                self.of_feature(&format!("{joined}."), test);
                return (ident(id, format!("?{joined}")), Kind::Bool);
            }
        }
        self.unknown_member(id, path);
        (ident(id, root), Kind::Any)
    }

    /// Keeps what only some features have. A condition that asks whether it is there knows of others.
    fn of_feature(&mut self, path: &str, test: bool) {
        for (at, feature) in ["mcp.tool.", "mcp.resource.", "mcp.prompt."]
            .iter()
            .enumerate()
        {
            if path.starts_with(feature) {
                if let Some(seen) = self.features.get_mut(at) {
                    seen.0 |= !test;
                    seen.1 |= test;
                }
            }
        }
        let of = |at: usize| {
            self.features
                .get(at)
                .is_some_and(|(read, asked)| *read && !asked)
        };
        // Asking for one is knowing of the others.
        let asked = self.features.iter().any(|(_, asked)| *asked);
        self.reads.of_tools = of(0) && !asked;
        self.reads.of_resources = of(1) && !asked;
        self.reads.of_prompts = of(2) && !asked;
    }

    /// Says which name in `path`, which is none of the facts, is wrong.
    fn unknown_member(&mut self, id: u64, path: &[String]) {
        let mut known = path.first().cloned().unwrap_or_default();
        for part in path.iter().skip(1) {
            let longer = format!("{known}.{part}");
            if !names::GROUPS.contains(&longer.as_str()) {
                let members = names::members(&known);
                let message = match nearest(part, members.clone()) {
                    Some(near) => {
                        format!("`{known}` has no member `{part}`; did you mean `{near}`?")
                    }
                    None => {
                        format!(
                            "`{known}` has no member `{part}`; it has {}",
                            listed(members)
                        )
                    }
                };
                return self.problem(id, message);
            }
            known = longer;
        }
        let members = listed(names::members(&known));
        self.problem(id, format!("name a member of `{known}`: it has {members}"));
    }

    /// What is known of the members of a fact.
    fn check_members(&mut self, id: u64, path: &str, kind: Kind, rest: &[String]) {
        let Some(first) = rest.first() else {
            return;
        };
        if kind != Kind::Map {
            let message = format!("`{path}` is {}, it has no member `{first}`", kind.name());
            self.problem(id, message);
        } else if path == "mcp.tool.annotations" && !ANNOTATIONS.contains(&first.as_str()) {
            let near = nearest(first, ANNOTATIONS).unwrap_or("readOnlyHint");
            self.problem(
                id,
                format!("there is no annotation `{first}`; did you mean `{near}`?"),
            );
        } else if path.starts_with("request.headers") {
            let lower = first.to_ascii_lowercase();
            if super::facts::HIDDEN_HEADERS.contains(&lower.as_str()) {
                let message =
                    format!("the header `{lower}` carries a secret; conditions cannot read it");
                self.problem(id, message);
            } else if lower != *first {
                self.problem(
                    id,
                    format!("names of headers are in lower case here: `{lower}`"),
                );
            }
        }
    }

    fn static_variable(&mut self, id: u64, path: &[String], test: bool) -> Typed {
        let rest = path.get(1..).unwrap_or_default();
        let mut tree = None;
        let mut known = "vars".to_owned();
        let mut level = Some(self.vars);
        for part in rest {
            let Some(members) = level else {
                break;
            };
            tree = members.get(part);
            if tree.is_none() {
                let message = match nearest(part, members.keys().map(String::as_str)) {
                    Some(near) => {
                        format!("`{known}` has no member `{part}`; did you mean `{near}`?")
                    }
                    None => format!("`{known}` has no member `{part}`; it is set under `{known}`"),
                };
                self.problem(id, message);
                break;
            }
            level = tree.and_then(Value::as_object);
            known = format!("{known}.{part}");
        }
        let kind = match tree {
            Some(Value::Null) => Kind::Null,
            Some(Value::Bool(_)) => Kind::Bool,
            Some(Value::Number(_)) => Kind::Number,
            Some(Value::String(_)) => Kind::Text,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => Kind::Texts,
            Some(Value::Array(_)) => Kind::List,
            Some(Value::Object(_)) | None => Kind::Map,
        };
        let (expr, given) = members(id, "vars", rest, test, Kind::Map);
        (expr, if test || rest.is_empty() { given } else { kind })
    }

    fn comprehension(&mut self, id: u64, mut comprehension: ComprehensionExpr) -> Typed {
        let range_id = comprehension.iter_range.id;
        let (range, kind) = self.expr(comprehension.iter_range);
        if !kind.may_be(Kind::List) && !kind.may_be(Kind::Map) {
            self.problem(
                range_id,
                format!("a loop needs a list or a map, this is {}", kind.name()),
            );
        }
        let values = self.values(&range);
        let rounds = match &range.expr {
            Expr::List(list) => Worst::both(u64::try_from(list.elements.len()).unwrap_or(u64::MAX)),
            _ => values,
        };
        // Each round has a copy of its item.
        comprehension.iter_range = self.pay(Pay::Copy, range);
        if self.loops.len() >= self.limits.nesting {
            let message = format!("loops are nested deeper than {}", self.limits.nesting);
            self.problem(id, message);
        }
        let variable = comprehension.iter_var.clone();
        let is_root = |name: &&'static str| **name == *variable;
        if names::FIXED_ROOTS
            .iter()
            .chain(&names::OPEN_ROOTS)
            .any(is_root)
            || names::TYPES.iter().any(is_root)
        {
            let message =
                format!("`{variable}` has a meaning already; name the loop's variable otherwise");
            self.problem(id, message);
        }
        let (init, result_kind) = self.expr(comprehension.accu_init);
        comprehension.accu_init = init;
        self.loops.push(Loop {
            variable,
            variable_kind: if matches!(kind, Kind::Texts | Kind::Map) {
                // JSON objects have no other keys.
                Kind::Text
            } else {
                Kind::Any
            },
            result: comprehension.accu_var.clone(),
            result_kind,
            rounds,
            values,
            nodes: 0,
        });
        comprehension.loop_cond = self.expr(comprehension.loop_cond).0;
        let (step, step_kind) = self.expr(comprehension.loop_step);
        comprehension.loop_step = step;
        let nodes = self.loops.last().map_or(0, |inner| inner.nodes);
        let (result, kind) = self.expr(comprehension.result);
        comprehension.result = result;
        self.loops.pop();
        pay_per_round(id, self.ticks.len(), &mut comprehension);
        self.ticks.push(nodes);
        let kind = if kind.is_list() { step_kind } else { kind };
        (node(id, Expr::Comprehension(Box::new(comprehension))), kind)
    }
}

/// The known annotations of tools.
const ANNOTATIONS: [&str; 5] = [
    "title",
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The root and members that an expression spells: `a.b`, `a['b']`.
fn path_of(mut expr: &Expr) -> Option<Vec<String>> {
    let mut path = Vec::new();
    loop {
        match expr {
            Expr::Ident(name)
                if names::FIXED_ROOTS.contains(&name.as_str())
                    || names::OPEN_ROOTS.contains(&name.as_str()) =>
            {
                path.push(name.clone());
                path.reverse();
                return Some(path);
            }
            Expr::Select(select) if !select.test => {
                path.push(select.field.clone());
                expr = &select.operand.expr;
            }
            Expr::Call(call) if call.func_name == op::INDEX && call.target.is_none() => {
                let [operand, index] = call.args.as_slice() else {
                    return None;
                };
                path.push(text_literal(&index.expr)?.to_owned());
                expr = &operand.expr;
            }
            _ => return None,
        }
    }
}

/// The variable `base` with these members selected.
fn members(id: u64, base: &str, rest: &[String], test: bool, kind: Kind) -> Typed {
    let mut expr = ident(id, base);
    for (index, field) in rest.iter().enumerate() {
        expr = node(
            id,
            Expr::Select(SelectExpr {
                operand: Box::new(expr),
                field: field.clone(),
                test: test && index.saturating_add(1) == rest.len(),
            }),
        );
    }
    let kind = match rest {
        [] => kind,
        _ if test => Kind::Bool,
        [_] if base == "request.headers" || base == "request.query" => Kind::Text,
        [_] if base == "request.headers_all" => Kind::Texts,
        _ => Kind::Any,
    };
    (expr, kind)
}

/// Makes each round of a loop pay: the evaluator itself never stops one.
///
/// `tick ? … : …` and not `tick && …`, for a condition that fails ends the loop, where the other
/// would go on to evaluate its right side.
fn pay_per_round(id: u64, tick: usize, comprehension: &mut ComprehensionExpr) {
    let paid = |then: IdedExpr, otherwise: IdedExpr| {
        call(
            id,
            op::CONDITIONAL,
            vec![ident(id, format!("@t{tick}")), then, otherwise],
        )
    };
    let no = || node(id, Expr::Literal(LiteralValue::Boolean(false.into())));
    let step = std::mem::take(&mut comprehension.loop_step);
    let accumulates = matches!(comprehension.accu_init.expr, Expr::List(_));
    if !accumulates {
        comprehension.loop_step = step;
        let goes_on = std::mem::take(&mut comprehension.loop_cond);
        comprehension.loop_cond = paid(goes_on, no());
        return;
    }
    // `map` and `filter`: the evaluator appends in place only when their shape is kept, which is
    // `guard ? result + [item] : result`, with a literal as the loop's own condition.
    comprehension.loop_step = match step.expr {
        Expr::Call(mut guarded) if guarded.func_name == op::CONDITIONAL => {
            if let Some(guard) = guarded.args.first_mut() {
                let own = std::mem::take(guard);
                *guard = paid(own, no());
            }
            node(step.id, Expr::Call(guarded))
        }
        expr => {
            let result = ident(id, comprehension.accu_var.clone());
            paid(node(step.id, expr), result)
        }
    };
}
