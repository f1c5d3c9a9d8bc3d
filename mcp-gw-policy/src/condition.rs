//! Conditions: CEL expressions over what is known of a request.
//!
//! A condition is checked, bounded and rewritten when it is loaded: every name in it is known, every
//! pattern and address block is compiled, each loop pays for its rounds out of a budget. What is left
//! to go wrong at run time (a missing claim, an argument of another type, arguments that are too
//! large) is [`Verdict::Error`], which the engine turns into the safe answer for the rule's effect.

mod build;
mod facts;
mod forms;
mod functions;
mod json;
mod kind;
mod listed;
mod meter;
mod names;
mod never;
mod sample;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelMap};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value as CelValue};
use mcp_gw_core::Feature;
use serde_json::{Map, Value};

use crate::ip::Cidrs;
use build::Built;
pub(crate) use facts::{Facts, RequestFacts};
use functions::Matcher;
pub(crate) use listed::Possible;
use meter::{METER, Meter};

/// What a condition may cost. The defaults are what the documentation promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConditionLimits {
    /// Bytes of source.
    pub(crate) source_bytes: usize,
    /// Nodes of the syntax tree.
    pub(crate) nodes: usize,
    /// Levels of the syntax tree.
    pub(crate) depth: usize,
    /// Loops (`all`, `exists`, `exists_one`, `map`, `filter`) within one another.
    pub(crate) nesting: usize,
    /// What a condition may see of the arguments.
    pub(crate) arguments: ArgumentLimits,
    /// Steps that one evaluation may take in loops, and over long texts and lists; a step is about
    /// one operation on short values, or 64 bytes. It takes no more than as many bytes, too.
    pub(crate) steps: u64,
}

/// How large the arguments may be that a condition reads. Larger ones are an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArgumentLimits {
    /// Bytes of JSON text.
    pub(crate) bytes: usize,
    /// Values, at any depth.
    pub(crate) values: usize,
    /// Arrays and objects within one another.
    pub(crate) depth: usize,
}

impl Default for ConditionLimits {
    fn default() -> Self {
        Self {
            source_bytes: 4096,
            nodes: 1000,
            depth: 48,
            nesting: 2,
            arguments: ArgumentLimits {
                bytes: 64 << 10,
                values: 1000,
                depth: 32,
            },
            steps: 100_000,
        }
    }
}

/// What a condition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    True,
    False,
    /// It could not be decided. The text names no value of the request.
    Error(String),
}

/// Why a condition was refused: all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionFault {
    problems: Vec<Problem>,
}

/// One thing wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    /// Line and column, from 1; `None` when it is about the whole.
    at: Option<(usize, usize)>,
    message: String,
}

impl ConditionFault {
    fn whole(message: impl Into<String>) -> Self {
        Self {
            problems: vec![Problem {
                at: None,
                message: message.into(),
            }],
        }
    }
}

impl fmt::Display for ConditionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if let Some((line, column)) = problem.at {
                write!(f, "at {line}:{column}: ")?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConditionFault {}

/// Compiles the conditions of one policy; they share the function table and the static variables.
#[derive(Clone)]
pub(crate) struct ConditionCompiler {
    env: Arc<Env>,
    vars: Arc<Vars>,
    limits: ConditionLimits,
}

/// The static variables: as written, for the checks, and as CEL sees them.
pub(crate) struct Vars {
    map: Map<String, Value>,
    cel: CelMap<'static>,
}

impl ConditionCompiler {
    pub(crate) fn new(vars: &Map<String, Value>, limits: &ConditionLimits) -> Self {
        Self {
            env: functions::env(),
            vars: Arc::new(Vars {
                map: vars.clone(),
                cel: json::owned_map(vars),
            }),
            limits: *limits,
        }
    }

    /// Checks and compiles one condition.
    ///
    /// # Errors
    /// Everything that is wrong with it, with position and suggestion.
    pub(crate) fn compile(&self, source: &str) -> Result<Condition, ConditionFault> {
        if source.trim().is_empty() {
            return Err(ConditionFault::whole(
                "the condition is empty; leave the key out for a rule without one",
            ));
        }
        if source.len() > self.limits.source_bytes {
            return Err(ConditionFault::whole(format!(
                "the condition has {} bytes, more than the {} allowed",
                source.len(),
                self.limits.source_bytes
            )));
        }
        let Built {
            tree,
            matchers,
            ticks,
            worst,
            reads,
            scopes,
            roles,
            groups,
        } = on_a_large_stack(source, || self.build(source))?;
        let mut condition = Condition {
            env: Arc::clone(&self.env),
            vars: Arc::clone(&self.vars),
            is_deep: build::depth(&tree) > DEEP,
            tree,
            matchers,
            ticks,
            steps: self.steps(worst.ever),
            weight: self.steps(worst.by_caller),
            reads,
            scopes: scopes.into(),
            roles: roles.into(),
            groups: groups.into(),
            limits: self.limits,
            warning: None,
        };
        condition.warning = never::reason(&condition);
        Ok(condition)
    }

    /// The steps of a condition that may take so many.
    fn steps(&self, worst: u64) -> u64 {
        match worst {
            0 => 0,
            worst => worst.saturating_add(SPARE_STEPS).min(self.limits.steps),
        }
    }

    fn build(&self, source: &str) -> Result<Built, ConditionFault> {
        let parsed = self.env.parser().parse_with_source_info(source);
        let (tree, info) = parsed.map_err(|errors| syntax(&errors))?;
        if build::depth(&tree) > self.limits.depth {
            return Err(ConditionFault::whole(format!(
                "the condition is nested deeper than {} levels",
                self.limits.depth
            )));
        }
        let positions = build::Positions::new(source, &info);
        build::build(tree, &positions, &self.vars.map, &self.limits)
    }
}

/// Runs `parse`, which recurses as deep as `source` is nested, with room for that. The parser is not
/// ours: what it might panic on is a fault of the source, not of the gateway.
fn on_a_large_stack(
    source: &str,
    parse: impl Fn() -> Result<Built, ConditionFault> + Send + Sync,
) -> Result<Built, ConditionFault> {
    let unreadable = || ConditionFault::whole("the condition cannot be read as CEL");
    let opens = |byte: &u8| matches!(byte, b'(' | b'[' | b'{' | b'?');
    if source.len() <= SHORT && source.bytes().filter(opens).count() <= FLAT {
        return catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| Err(unreadable()));
    }
    with_stack(PARSER_STACK, parse).unwrap_or_else(|| Err(unreadable()))
}

/// Does `work` on a stack of so many bytes; nothing when it panicked, or when there is no such stack.
fn with_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(bytes);
        let working = builder.spawn_scoped(scope, || catch_unwind(AssertUnwindSafe(work)));
        working.ok()?.join().ok()?.ok()
    })
}

/// Sources up to these many bytes, with up to so many brackets, cannot be nested deep.
const SHORT: usize = 256;
const FLAT: usize = 12;

/// Bytes of stack for the largest source there may be. They are only reserved.
const PARSER_STACK: usize = 64 << 20;

/// Levels of an expression that the stack of any thread has room for: without optimization each takes
/// some 45 KB of it.
const DEEP: usize = 24;

/// Bytes of stack for the deepest expression there may be.
const DEEP_STACK: usize = 16 << 20;

impl fmt::Debug for ConditionCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionCompiler")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the parser says, without its drawing of the source.
fn syntax(errors: &cel::ParseErrors) -> ConditionFault {
    let mut problems: Vec<Problem> = errors
        .errors
        .iter()
        .take(3)
        .map(|error| Problem {
            at: usize::try_from(error.pos.0)
                .ok()
                .zip(usize::try_from(error.pos.1).ok())
                .filter(|(line, _)| *line > 0),
            message: format!("this is not CEL: {}", in_words(error.msg.trim())),
        })
        .collect();
    problems.dedup_by(|later, first| later.at.is_some() && later.at == first.at);
    if problems.is_empty() {
        problems = ConditionFault::whole("this is not CEL").problems;
    }
    ConditionFault { problems }
}

/// What the parser says, for who writes conditions and not for who writes parsers.
fn in_words(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or(message);
    if let Some(text) = message.strip_prefix("token recognition error at: ") {
        let text = text.trim_matches('\'');
        let text = crate::fault::shown(text);
        return format!("{text} has no place here, or a quote is missing");
    }
    if message.starts_with("invalid string literal") || message.starts_with("invalid bytes") {
        return "a string holds an escape that is none".to_owned();
    }
    let is_internal = message.starts_with("Incomplete ")
        || message.contains("ContextAll")
        || message.starts_with("error recovery")
        || message.contains("Error(")
        || message.contains("Error {")
        || message.contains("viable alternative");
    if is_internal {
        return "something is missing here, or has no place".to_owned();
    }
    message
        .replace("mismatched input", "unexpected")
        .replace("extraneous input", "unexpected")
        .replace("'<EOF>'", "the end")
        .replace("<EOF>", "the end")
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers that have nothing to do with one another"
)]
pub(crate) struct Reads {
    /// `mcp.tool.arguments`.
    pub(crate) tool_arguments: bool,
    /// `mcp.prompt.arguments`.
    pub(crate) prompt_arguments: bool,
    /// The caller, the connection, the request: anything but what is asked for.
    pub(crate) caller: bool,
    /// Of these what may be otherwise the next time that the same caller asks.
    pub(crate) request: bool,
    /// What is asked for: its name, its server, but not its arguments.
    pub(crate) target: bool,
    /// Anything at all.
    pub(crate) anything: bool,
    /// Something whose members are not known before: a claim, an argument, a header.
    pub(crate) open_ended: bool,
    /// `tls`.
    pub(crate) tls: bool,
    /// Something that only tools have, only resources, only prompts; not when it asks `has()` of it.
    pub(crate) of_tools: bool,
    pub(crate) of_resources: bool,
    pub(crate) of_prompts: bool,
}

/// A compiled condition. Evaluating it does no I/O, takes no lock and does not panic.
pub(crate) struct Condition {
    env: Arc<Env>,
    vars: Arc<Vars>,
    tree: IdedExpr,
    matchers: Box<[Matcher]>,
    /// What a round of each loop costs besides the values in it.
    ticks: Box<[u64]>,
    /// What an evaluation may take, and what of it a caller can make it take.
    steps: u64,
    weight: u64,
    /// It is nested so deep that its evaluation needs a stack of its own.
    is_deep: bool,
    reads: Reads,
    scopes: Box<[String]>,
    roles: Box<[String]>,
    groups: Box<[String]>,
    limits: ConditionLimits,
    warning: Option<String>,
}

impl Condition {
    /// True when it looks at the arguments that something of this feature is used with (P-10). The
    /// arguments of another feature are not known, in lists as in calls.
    pub(crate) const fn reads_arguments(&self, of: Feature) -> bool {
        match of {
            Feature::Tool => self.reads.tool_arguments,
            Feature::Prompt => self.reads.prompt_arguments,
            _ => false,
        }
    }

    /// True when it can come out differently for two callers or requests that ask for the same.
    pub(crate) const fn reads_caller(&self) -> bool {
        self.reads.caller || self.reads.tool_arguments || self.reads.prompt_arguments
    }

    /// True when it can come out differently for two requests of one caller that ask for the same,
    /// but for what their arguments are.
    pub(crate) const fn reads_request(&self) -> bool {
        self.reads.request
    }

    /// True when it can come out differently for two things that one request asks for, but for what
    /// their arguments are: the items of a list, say.
    pub(crate) const fn reads_target(&self) -> bool {
        self.reads.target
    }

    /// True when what it may do depends on how long the texts of a request are: its steps may run out.
    pub(crate) const fn counts_steps(&self) -> bool {
        self.steps > 0
    }

    /// The most steps that an evaluation may take, which follows from the condition alone: as many as
    /// it can need, and no more than [`ConditionLimits::steps`].
    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// Those of them that a caller can make it take. Claims, roles and static variables count as if they
    /// were no larger than arguments: it takes more for them only where an issuer or author means it.
    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }

    /// True when it looks at what TLS shows of the client.
    pub(crate) const fn reads_tls(&self) -> bool {
        self.reads.tls
    }

    /// What it reads that only some features have, and what it is called.
    pub(crate) fn reads_of(&self) -> Option<(Feature, &'static str)> {
        if self.reads.of_tools {
            Some((Feature::Tool, "mcp.tool"))
        } else if self.reads.of_resources {
            Some((Feature::Resource, "mcp.resource"))
        } else if self.reads.of_prompts {
            Some((Feature::Prompt, "mcp.prompt"))
        } else {
            None
        }
    }

    /// The scopes that it asks for by name.
    pub(crate) fn named_scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Why it can never be true, when that is known.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// A part of it that says nothing, when one is known.
    pub(crate) fn idle_part(&self) -> Option<String> {
        never::idle_part(self)
    }

    /// The texts that the fact `path` must be one of for it to be true, when it says so plainly.
    pub(crate) fn wanted(&self, path: &str) -> Option<Vec<&str>> {
        never::wanted(self, path)
    }

    /// The roles that it asks for by name.
    pub(crate) fn named_roles(&self) -> &[String] {
        &self.roles
    }

    /// The groups that it asks for by name.
    pub(crate) fn named_groups(&self) -> &[String] {
        &self.groups
    }

    /// True when it is false wherever the fact `path` is this text, as far as that is said plainly.
    pub(crate) fn rules_out(&self, path: &str, text: &str) -> bool {
        forms::rules_out(self, path, text)
    }

    /// True when it is false for every address of these, as far as that is said plainly.
    pub(crate) fn rules_out_addresses(&self, from: &Cidrs) -> bool {
        forms::blocks(self).any(|blocks| !blocks.overlaps(from))
    }

    /// Why it cannot be true together with another one, when that is known.
    pub(crate) fn excludes(&self, other: &Self) -> Option<String> {
        never::exclusion(self, other)
    }

    /// Decides it, with [`Condition::steps`].
    pub(crate) fn evaluate(&self, facts: &RequestFacts<'_, '_>) -> Verdict {
        self.evaluate_within(facts, self.steps)
    }

    /// Decides it within so many steps.
    pub(crate) fn evaluate_within(&self, facts: &RequestFacts<'_, '_>, steps: u64) -> Verdict {
        if self.reads_arguments(facts.feature()) {
            if let Err(message) = facts.arguments(&self.limits.arguments) {
                return Verdict::Error(message.to_owned());
            }
        }
        self.metered(facts, steps, |scope| run(self, scope))
            .unwrap_or_else(|why| Verdict::Error(why.to_owned()))
    }

    /// Does something with the names of an evaluation that has so many steps.
    ///
    /// # Errors
    /// When they ran out, also where the expression went on to absorb the error that this caused; and
    /// when it panicked: the evaluator is not ours, and must not take the call with it.
    fn metered<T>(
        &self,
        facts: &RequestFacts<'_, '_>,
        steps: u64,
        evaluate: impl FnOnce(&Scope<'_>) -> T + Send,
    ) -> Result<T, &'static str>
    where
        T: Send,
    {
        // What costs nothing takes nothing.
        let steps = steps.max(1);
        let scope = Scope {
            condition: self,
            facts,
            meter: Meter::new(steps),
        };
        let outcome = if self.is_deep {
            with_stack(DEEP_STACK, || evaluate(&scope))
        } else {
            catch_unwind(AssertUnwindSafe(|| evaluate(&scope))).ok()
        };
        let left = scope.meter.left();
        facts.spend(steps.saturating_sub(left));
        if left == 0 {
            return Err(EXHAUSTED);
        }
        outcome.ok_or("the evaluator failed")
    }
}

const EXHAUSTED: &str = "it takes more steps than a condition may";

/// Steps more than can be needed: claims and headers have no fixed size.
const SPARE_STEPS: u64 = 1000;

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("reads", &self.reads)
            .field("ticks", &self.ticks)
            .field("steps", &self.steps)
            .field("warning", &self.warning)
            .finish_non_exhaustive()
    }
}

fn run(condition: &Condition, scope: &Scope<'_>) -> Verdict {
    let mut context = Context::with_env(Arc::clone(&condition.env));
    context.set_variable_resolver(scope);
    match CelValue::resolve_val(&condition.tree, &context) {
        Ok(value) => match value.downcast_ref::<CelBool>() {
            Some(truth) if *truth.inner() => Verdict::True,
            Some(_) => Verdict::False,
            None => Verdict::Error(format!(
                "it gives a {}, not true or false",
                value.get_type().name()
            )),
        },
        Err(error) => Verdict::Error(describe(&error)),
    }
}

/// An error of the evaluator in our words: it must not carry values of the request into logs.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(_) => "a member that it reads is missing".to_owned(),
        ExecutionError::UndeclaredReference(name) if !name.starts_with('@') => {
            format!("`{name}` is not known for this request")
        }
        ExecutionError::NoSuchOverload(overload) => format!(
            "`{}` does not apply to {}",
            overload.function().trim_start_matches('@'),
            overload.argument_types().join(" and ")
        ),
        ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..) => {
            "a value has a type that it cannot be used with here".to_owned()
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number gets too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than its index".to_owned(),
        ExecutionError::FunctionError { function, .. } if function == meter::INEXACT => {
            "a number cannot be compared exactly".to_owned()
        }
        ExecutionError::FunctionError { function, .. } => {
            format!(
                "`{}` cannot read its argument",
                function.trim_start_matches('@')
            )
        }
        _ => "it cannot be evaluated".to_owned(),
    }
}

/// The names of one evaluation.
struct Scope<'s> {
    condition: &'s Condition,
    facts: &'s dyn facts::Source,
    meter: Meter,
}

static TRUE: std::sync::LazyLock<CelBool> = std::sync::LazyLock::new(|| CelBool::from(true));

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(own) = variable.strip_prefix('@') {
            if let Some(index) = own.strip_prefix('m') {
                let matcher = self.condition.matchers.get(index.parse::<usize>().ok()?)?;
                return Some(CowVal::Borrowed(matcher));
            }
            if let Some(index) = own.strip_prefix('t') {
                let tick = self.condition.ticks.get(index.parse::<usize>().ok()?)?;
                let paid = self.meter.take(*tick);
                return paid.then(|| CowVal::Borrowed(&*TRUE));
            }
            if variable == METER {
                return Some(CowVal::Borrowed(&self.meter));
            }
            return None;
        }
        if variable == "vars" {
            return Some(CowVal::Borrowed(&self.condition.vars.cel));
        }
        self.facts.fact(variable)
    }
}

#[cfg(test)]
mod tests;
