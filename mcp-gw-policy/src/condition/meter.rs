//! What an evaluation costs. Each walk over a value and each copy of one is paid for before it is done,
//! by how large the value has become, and not by what it was made of.
//!
//! A step stands for one operation in a loop, for 64 bytes of a text that is walked, or for 64 bytes that
//! are taken for a copy. So the steps of an evaluation bound its memory, too: 100,000 of them are 6.4 MB.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::types::{
    CelBytes, CelDouble, CelList, CelMap, CelMapKey, CelString, DYN_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

/// Bytes that a step stands for.
pub(super) const STEP_BYTES: u64 = 64;

/// The steps that one evaluation has left. It stands in expressions as the variable [`METER`].
#[derive(Debug)]
pub(super) struct Meter(AtomicU64);

/// The variable that the functions below find the meter by.
pub(super) const METER: &str = "@b";

impl Meter {
    pub(super) const fn new(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }

    /// Zero when something could not be paid.
    pub(super) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a price; false when there is nothing left.
    pub(super) fn take(&self, steps: u64) -> bool {
        let left = self.left().saturating_sub(steps);
        self.0.store(left, Ordering::Relaxed);
        left > 0
    }

    /// As many bytes could still be paid.
    fn room(&self) -> u64 {
        self.left().saturating_mul(STEP_BYTES)
    }

    pub(super) fn take_bytes(&self, bytes: u64) -> Result<(), ExecutionError> {
        if self.take(bytes / STEP_BYTES) {
            Ok(())
        } else {
            Err(ExecutionError::function_error("@", "no steps are left"))
        }
    }
}

pub(super) static METER_TYPE: Type = Type::new_unspecified_type("meter");

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER_TYPE
    }

    fn cel_type() -> &'static Type {
        &METER_TYPE
    }

    /// Nothing copies it. If something did, the copy would have nothing to give.
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self::new(0))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

/// How something is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pay {
    /// It is walked over.
    Walk,
    /// It is walked over about twice, or copied on the way.
    Search,
    /// It is taken apart, character by character.
    Rewrite,
    /// It is copied.
    Copy,
    /// It is looked at only if it is a text.
    Text,
    /// It is compared by order: copied into the error where it cannot be, and no inexact number.
    Compared,
    /// It is a number that was worked out, and compared.
    Exact,
    /// It is looked up in a list or a map.
    Index,
    /// It is split at its second argument.
    Pieces,
}

impl Pay {
    pub(super) const ALL: [Self; 9] = [
        Self::Walk,
        Self::Search,
        Self::Rewrite,
        Self::Copy,
        Self::Text,
        Self::Compared,
        Self::Exact,
        Self::Index,
        Self::Pieces,
    ];

    /// The function that is put around what is paid for; it gives back what it gets.
    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::Walk => "@walk",
            Self::Search => "@search",
            Self::Rewrite => "@rewrite",
            Self::Copy => "@copy",
            Self::Text => "@text",
            Self::Compared => "@compared",
            Self::Exact => "@exact",
            Self::Index => "@index",
            Self::Pieces => "@pieces",
        }
    }

    /// What it comes to at most for a text of 64 KiB, or a list of so many values.
    pub(super) const fn at_most(self, values: u64) -> u64 {
        const TEXT: u64 = (64 << 10) / STEP_BYTES;
        match self {
            Self::Walk => TEXT + values / 2,
            Self::Search => 2 * TEXT,
            Self::Rewrite => 4 * TEXT,
            Self::Copy | Self::Compared => TEXT + values,
            Self::Text | Self::Index => TEXT,
            Self::Exact => 0,
            Self::Pieces => TEXT + (64 << 10) * PIECE / STEP_BYTES,
        }
    }
}

/// Bytes that a value takes when it is walked over, and when it is copied.
const WALKED: u64 = 32;
const COPIED: u64 = 64;
/// Bytes that a member of a map takes besides its name and its value.
const MEMBER: u64 = 96;
/// Bytes that a part of a split text takes besides its characters.
const PIECE: u64 = 80;

pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    for pay in Pay::ALL {
        let (name, function): (_, cel::common::functions::Function) = match pay {
            Pay::Walk => (pay.function(), walk),
            Pay::Search => (pay.function(), search),
            Pay::Rewrite => (pay.function(), rewrite),
            Pay::Copy => (pay.function(), copy),
            Pay::Text => (pay.function(), text),
            Pay::Compared => (pay.function(), compared),
            Pay::Exact => (pay.function(), exact),
            Pay::Index => (pay.function(), index),
            Pay::Pieces => {
                let args = vec![METER_TYPE.to_owned(), DYN_TYPE, DYN_TYPE];
                env.add_overload(pay.function(), pay.function(), args, pieces)?;
                continue;
            }
        };
        env.add_overload(name, name, vec![METER_TYPE.to_owned(), DYN_TYPE], function)?;
    }
    Ok(())
}

/// Pays by `price` of the value and of the bytes that could be paid, and gives the value back.
fn paid<'b, 'v>(
    mut args: Vec<CowVal<'b, 'v>>,
    price: impl Fn(&dyn Val, u64) -> u64,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop();
    let meter = args.pop();
    let meter = meter
        .as_ref()
        .and_then(|meter| meter.downcast_ref::<Meter>());
    let (Some(meter), Some(value)) = (meter, value) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    meter.take_bytes(price(value.as_ref(), meter.room()))?;
    Ok(value)
}

fn walk<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    paid(args, |value, room| size(value, WALKED, room))
}

fn search<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    paid(args, |value, _| text_of(value).saturating_mul(2))
}

fn rewrite<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    paid(args, |value, _| text_of(value).saturating_mul(4))
}

fn copy<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    paid(args, |value, room| size(value, COPIED, room))
}

fn text<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    paid(args, |value, _| text_of(value))
}

fn compared<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    exactly(copy(args)?)
}

fn exact<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    exactly(paid(args, |_, _| 0)?)
}

/// The evaluator compares integers with doubles as doubles, which from 2^53 on are not exact. Doubles
/// beyond all integers are.
fn exactly<'b, 'v>(value: CowVal<'b, 'v>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let double = value.downcast_ref::<CelDouble>();
    if double.is_some_and(|double| is_inexact(*double.inner())) {
        return Err(ExecutionError::function_error(
            INEXACT,
            "a number cannot be compared exactly",
        ));
    }
    Ok(value)
}

/// What the error of [`exactly`] is told by.
pub(super) const INEXACT: &str = "@exact";

/// True for a double that some integer cannot be compared with exactly.
pub(super) fn is_inexact(double: f64) -> bool {
    const FROM: f64 = 9_007_199_254_740_992.0;
    const TO: f64 = 18_446_744_073_709_551_616.0;
    (FROM..=TO).contains(&double.abs())
}

/// A double as an index would be an error that holds a copy of the list.
fn index<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = text(args)?;
    let double = value.downcast_ref::<CelDouble>();
    if double.is_some_and(|double| double.inner().fract() != 0.0) {
        return Err(ExecutionError::function_error("_[_]", "no whole number"));
    }
    Ok(value)
}

/// Takes the meter, a text, and what it is going to be split at.
fn pieces<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let at = args.pop();
    let at = at
        .as_ref()
        .and_then(|at| at.downcast_ref::<CelString<'_>>());
    let at = at.map_or("", |at| at.inner());
    paid(args, |value, room| {
        let Some(text) = value.downcast_ref::<CelString<'_>>() else {
            return 0;
        };
        let text = text.inner();
        let most = usize::try_from(room / PIECE).unwrap_or(usize::MAX);
        let count = if at.is_empty() {
            text.chars().take(most).count()
        } else {
            text.matches(at).take(most).count()
        };
        let count = u64::try_from(count).unwrap_or(u64::MAX).saturating_add(1);
        len(text).saturating_add(count.saturating_mul(PIECE))
    })
}

/// Bytes of a value, `each` for every value in it and the texts as they are long; counts not much
/// further than `room`.
fn size(value: &dyn Val, each: u64, room: u64) -> u64 {
    let mut sum = each;
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        for item in list.inner() {
            if sum > room {
                break;
            }
            sum = sum.saturating_add(size(item.as_ref(), each, room.saturating_sub(sum)));
        }
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        for (key, member) in map.inner() {
            if sum > room {
                break;
            }
            if let CelMapKey::String(key) = key {
                sum = sum.saturating_add(len(key.inner()));
            }
            sum = sum.saturating_add(MEMBER).saturating_add(size(
                member.as_ref(),
                each,
                room.saturating_sub(sum),
            ));
        }
    } else {
        sum = sum.saturating_add(text_of(value));
    }
    sum
}

/// Bytes of a text; nothing for what is none.
fn text_of(value: &dyn Val) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return len(text.inner());
    }
    let bytes = value.downcast_ref::<CelBytes<'_>>();
    bytes.map_or(0, |bytes| {
        u64::try_from(bytes.inner().len()).unwrap_or(u64::MAX)
    })
}

pub(super) fn len(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
