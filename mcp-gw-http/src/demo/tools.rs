//! The demo's tools: small, useful, and each there to show something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_core::schemars::{self, JsonSchema};
use mcp_gw_core::{
    CallContext, Clock, NoArguments, Structured, SystemClock, ToolAnnotations, ToolError,
    TypedTool, rfc3339,
};
use serde::{Deserialize, Serialize};

/// A tool without arguments.
pub(super) struct GetTime;

impl TypedTool for GetTime {
    const NAME: &'static str = "get_time";
    const DESCRIPTION: &'static str = "Says what time it is, in UTC, as RFC 3339.";
    type Args = NoArguments;
    type Output = String;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only().with_open_world(false)
    }

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        Ok(rfc3339(SystemClock::new().wall()))
    }
}

/// A tool with structured output and checked arguments.
#[derive(Default)]
pub(super) struct RollDice {
    state: Mutex<Option<u64>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollDiceArgs {
    /// How many dice, 1 to 100.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    count: u8,
    /// How many sides each die has, 2 to 1000.
    #[serde(default = "six")]
    #[schemars(range(min = 2, max = 1000))]
    sides: u16,
}

const fn one() -> u8 {
    1
}

const fn six() -> u16 {
    6
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Dice {
    /// What each die shows.
    dice: Vec<u64>,
    /// All dice together.
    total: u64,
}

impl RollDice {
    /// The next number of an xorshift generator: good enough for a game.
    fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = || {
            let since = SystemClock::new()
                .wall()
                .duration_since(std::time::UNIX_EPOCH);
            since.map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs()) | 1
        };
        let mut x = state.unwrap_or_else(now);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *state = Some(x);
        x
    }
}

impl TypedTool for RollDice {
    const NAME: &'static str = "roll_dice";
    const DESCRIPTION: &'static str = "Rolls dice and adds them up.";
    type Args = RollDiceArgs;
    type Output = Structured<Dice>;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only().with_open_world(false)
    }

    async fn call(&self, _: &CallContext, args: RollDiceArgs) -> Result<Self::Output, ToolError> {
        if !(1..=100).contains(&args.count) || !(2..=1000).contains(&args.sides) {
            return Err(ToolError::invalid_arguments(
                "`count` must be 1 to 100, `sides` 2 to 1000",
            ));
        }
        let sides = u64::from(args.sides);
        let dice: Vec<u64> = (0..args.count).map(|_| self.next() % sides + 1).collect();
        let total = dice.iter().sum();
        Ok(Structured(Dice { dice, total }))
    }
}

/// A tool with a text argument.
pub(super) struct CountWords;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountWordsArgs {
    /// The text to count in.
    text: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Counts {
    /// Words, parted by blanks.
    words: usize,
    /// Characters.
    characters: usize,
    /// Lines.
    lines: usize,
}

impl TypedTool for CountWords {
    const NAME: &'static str = "count_words";
    const DESCRIPTION: &'static str = "Counts the words, characters and lines of a text.";
    type Args = CountWordsArgs;
    type Output = Structured<Counts>;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only().with_open_world(false)
    }

    async fn call(&self, _: &CallContext, args: CountWordsArgs) -> Result<Self::Output, ToolError> {
        Ok(Structured(Counts {
            words: args.text.split_whitespace().count(),
            characters: args.text.chars().count(),
            lines: args.text.lines().count(),
        }))
    }
}

/// A tool that takes its time, reports progress, and can be cancelled.
pub(super) struct Wait;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitArgs {
    /// How many steps of 100 ms to wait, 1 to 100.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    steps: u8,
}

const fn three() -> u8 {
    3
}

impl TypedTool for Wait {
    const NAME: &'static str = "wait";
    const DESCRIPTION: &'static str = "Waits a while, and says how far it is.";
    type Args = WaitArgs;
    type Output = String;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only().with_open_world(false)
    }

    async fn call(&self, ctx: &CallContext, args: WaitArgs) -> Result<String, ToolError> {
        if !(1..=100).contains(&args.steps) {
            return Err(ToolError::invalid_arguments("`steps` must be 1 to 100"));
        }
        let steps = f64::from(args.steps);
        for step in 1..=args.steps {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ctx.progress(f64::from(step), Some(steps), Some("waiting"));
        }
        Ok(format!("waited {} ms", u32::from(args.steps) * 100))
    }
}

/// Notes that are gone when the demo ends.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// So many notes, of so many characters each, so that nobody fills the memory.
    const MOST: usize = 100;
    const LONGEST: usize = 1000;

    fn with<R>(&self, work: impl FnOnce(&mut Vec<String>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A tool that looks.
pub(super) struct ListNotes(pub(super) Notes);

#[derive(Serialize, JsonSchema)]
pub(super) struct AllNotes {
    /// The notes, oldest first.
    notes: Vec<String>,
}

impl TypedTool for ListNotes {
    const NAME: &'static str = "list_notes";
    const DESCRIPTION: &'static str = "Lists the notes.";
    type Args = NoArguments;
    type Output = Structured<AllNotes>;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::read_only().with_open_world(false)
    }

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<Self::Output, ToolError> {
        Ok(Structured(AllNotes {
            notes: self.0.with(|notes| notes.clone()),
        }))
    }
}

/// A tool that changes something.
pub(super) struct AddNote(pub(super) Notes);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddNoteArgs {
    /// What to remember, up to 1000 characters.
    text: String,
}

impl TypedTool for AddNote {
    const NAME: &'static str = "add_note";
    const DESCRIPTION: &'static str = "Adds a note.";
    type Args = AddNoteArgs;
    type Output = String;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::additive().with_open_world(false)
    }

    async fn call(&self, ctx: &CallContext, args: AddNoteArgs) -> Result<String, ToolError> {
        if args.text.chars().count() > Notes::LONGEST {
            return Err(ToolError::invalid_arguments(
                "`text` has more than 1000 characters",
            ));
        }
        let by = &ctx.caller().id;
        self.0.with(|notes| {
            if notes.len() >= Notes::MOST {
                return Err(ToolError::failed(
                    "there are 100 notes already; delete them first",
                ));
            }
            notes.push(format!("{} ({by})", args.text));
            Ok(format!("noted; there are {} notes now", notes.len()))
        })
    }
}

/// A tool that destroys something: not for everybody.
pub(super) struct DeleteNotes(pub(super) Notes);

impl TypedTool for DeleteNotes {
    const NAME: &'static str = "delete_notes";
    const DESCRIPTION: &'static str = "Deletes all notes.";
    type Args = NoArguments;
    type Output = String;

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::destructive()
            .with_idempotent(true)
            .with_open_world(false)
    }

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<String, ToolError> {
        let gone = self.0.with(|notes| std::mem::take(notes).len());
        Ok(format!("deleted {gone} notes"))
    }
}
