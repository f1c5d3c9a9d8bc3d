//! What a condition can call: the standard library of CEL, part of its strings extension, and
//! matchers that were compiled with the condition.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError, extensions};
use mcp_gw_core::Glob;
use regex::Regex;

use super::meter::{self, METER_TYPE, Meter};
use crate::ip::Cidrs;

/// A pattern or address list of a condition, compiled with it. In the expression it stands as a
/// variable, first argument of the function that uses it.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    pub(super) what: What,
    /// How often it walks over a text, about.
    pub(super) walks: u64,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Regex(Regex),
    Glob(Arc<Glob>),
    Cidrs(Arc<Cidrs>),
}

impl Matcher {
    /// The function that takes it.
    pub(super) const fn function(&self) -> &'static str {
        match self.what {
            What::Regex(_) => "@matches",
            What::Glob(_) => "@glob",
            What::Cidrs(_) => "@ip_in",
        }
    }

    fn matches(&self, text: &str) -> Result<bool, ExecutionError> {
        Ok(match &self.what {
            What::Regex(regex) => regex.is_match(text),
            What::Glob(glob) => glob.matches(text),
            What::Cidrs(cidrs) => {
                let addr: IpAddr = text.parse().map_err(|_| {
                    ExecutionError::function_error(self.function(), "not an address")
                })?;
                cidrs.contains(addr)
            }
        })
    }
}

static MATCHER: Type = Type::new_unspecified_type("matcher");

impl Val for Matcher {
    fn get_type(&self) -> &Type {
        &MATCHER
    }

    fn cel_type() -> &'static Type {
        &MATCHER
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Matcher {}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the type of functions is not ours"
)]
fn apply<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut args = args.iter();
    let matcher = args.next().and_then(|arg| arg.downcast_ref::<Matcher>());
    let meter = args.next().and_then(|arg| arg.downcast_ref::<Meter>());
    let text = args
        .next()
        .and_then(|arg| arg.downcast_ref::<CelString<'_>>());
    let (Some(matcher), Some(meter), Some(text)) = (matcher, meter, text) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    meter.take_bytes(meter::len(text.inner()).saturating_mul(matcher.walks))?;
    Ok(CowVal::owned(CelBool::from(matcher.matches(text.inner())?)))
}

/// The environment of all conditions: it holds nothing of a policy.
pub(super) fn env() -> Arc<Env> {
    static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib();
        // What cannot be declared would be missing at run time, as an error of the condition; the
        // tests call every function.
        let _ = declare(&mut env);
        Arc::new(env)
    });
    Arc::clone(&ENV)
}

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_extension(extensions::strings)?;
    for function in ["@matches", "@glob", "@ip_in"] {
        let args = vec![MATCHER.to_owned(), METER_TYPE.to_owned(), STRING_TYPE];
        env.add_overload(function, function, args, apply)?;
    }
    meter::declare(env)
}
