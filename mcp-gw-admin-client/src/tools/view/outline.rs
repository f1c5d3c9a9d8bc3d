//! Objects that are too long to be shown, and the way to the rest of them.

use mcp_gw_core::{JsonText, ObjectWriter, RawJson};

use super::{Cut, Shown};

/// The name of what stands in the place of members that were left out.
pub(crate) const LEFT_OUT: &str = "[cut]";

/// What an object has: small members as they are; large ones take what is left among them, objects as outlines of
/// their own, of others it is said where they are and how long. Members for whose names there is no room are the last
/// ones: they are what `skip` leads to.
pub(super) fn outline(raw: &RawJson, pointer: &str, skip: usize, budget: usize) -> Shown {
    let outlined = outlined(raw, pointer, skip, budget, LEVELS);
    let next = match outlined.end {
        Some(end) => Some(format!("skip: {end}")),
        None if skip > 0 && skip >= outlined.of => Some(format!(
            "skip: less than {}, which is how many members are here, or the pointer of an object in it",
            outlined.of
        )),
        None => outlined
            .is_cut
            .then(|| "pointer: where a member was cut, or a greater max_bytes".to_owned()),
    };
    Shown {
        body: outlined.body,
        cut: next.map(|next| Cut {
            bytes: raw.len(),
            of: (outlined.end.is_some() || skip > 0).then_some(outlined.of),
            next,
        }),
    }
}

/// Less is not worth an outline.
const LEAST: usize = 128;

/// What is further inside is not looked into: each level costs a look at all that is left.
const LEVELS: usize = 8;

struct Outlined {
    body: RawJson,
    /// So many members were gone through, when there are more.
    end: Option<usize>,
    /// How many members there are.
    of: usize,
    /// Something was left out.
    is_cut: bool,
}

/// A member, and what stands for it when there is no room.
struct Member<'a> {
    name: &'a str,
    value: JsonText<'a>,
    /// Where it is.
    pointer: String,
    mark: RawJson,
}

impl<'a> Member<'a> {
    fn new(name: &'a str, value: JsonText<'a>, around: &str) -> Self {
        let step = name.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{around}/{step}");
        let length = value.get().len();
        let mark = RawJson::string(&format!("[cut: {length} bytes at pointer {pointer}]"));
        Self {
            name,
            value,
            pointer,
            mark,
        }
    }

    /// With its name, as long as it is.
    fn whole(&self) -> usize {
        self.around() + self.value.get().len()
    }

    /// What its name takes.
    fn around(&self) -> usize {
        RawJson::string(self.name).len() + 2
    }

    /// With its name, as short as can be.
    fn least(&self) -> usize {
        self.around() + self.value.get().len().min(self.mark.len())
    }
}

fn outlined(raw: &RawJson, pointer: &str, skip: usize, budget: usize, levels: usize) -> Outlined {
    let members = raw.members().unwrap_or_default();
    let of = members.len();
    let room = budget.saturating_sub(2);
    let rest = members.iter().skip(skip);
    let (kept, end) = kept(
        rest.map(|(name, value)| Member::new(name, value, pointer)),
        room,
    );
    let end = (skip + end < of).then_some(skip + end);
    let tail = end.map(|end| left_out(pointer, of - end, end));
    let small = (budget / 8).max(48);
    // What is left when each has what it needs at least.
    let mut left = room.saturating_sub(kept.iter().map(Member::least).sum::<usize>());
    left = left.saturating_sub(
        tail.as_ref()
            .map_or(0, |tail| LEFT_OUT.len() + 6 + tail.len()),
    );
    let mut is_whole: Vec<bool> = Vec::with_capacity(kept.len());
    for member in &kept {
        let more = member.whole() - member.least();
        let fits = more == 0 || (member.whole() <= small && more <= left);
        left -= if fits { more } else { 0 };
        is_whole.push(fits);
    }
    let share = left / is_whole.iter().filter(|fits| !**fits).count().max(1);
    let mut writer = ObjectWriter::default();
    for (member, is_whole) in kept.iter().zip(&is_whole) {
        writer = if *is_whole {
            writer.raw_value(member.name, member.value)
        } else {
            writer.raw(member.name, &shortened(raw, member, share, levels))
        };
    }
    if let Some(tail) = &tail {
        writer = writer.string(LEFT_OUT, tail);
    }
    Outlined {
        body: writer.finish(),
        is_cut: end.is_some() || is_whole.contains(&false),
        end,
        of,
    }
}

/// A member in its own length, and so much more.
fn shortened(raw: &RawJson, member: &Member<'_>, more: usize, levels: usize) -> RawJson {
    let value = raw.slice(member.value);
    let room = member.mark.len() + more;
    if value.len() <= room {
        return value;
    }
    if value.is_object() && room >= LEAST && levels > 0 {
        let shown = outlined(&value, &member.pointer, 0, room, levels - 1).body;
        if shown.len() <= room {
            return shown;
        }
    }
    member.mark.clone()
}

/// The first of `members`, as many as find room, and how many were gone through for them.
fn kept<'a>(members: impl Iterator<Item = Member<'a>>, room: usize) -> (Vec<Member<'a>>, usize) {
    let (mut all, mut taken) = (Vec::new(), 0);
    // With room for what is said of the others.
    let mut with_tail = 0;
    for member in members {
        let pointer = member.pointer.len() - member.pointer.rfind('/').unwrap_or_default();
        let around = member.pointer.len() - pointer;
        taken += member.least();
        all.push(member);
        if taken + around + TAIL <= room {
            with_tail = all.len();
        }
        if taken > room {
            all.truncate(with_tail);
            // A name that finds no room even alone would be met again and again.
            return (all, with_tail.max(1));
        }
    }
    let all_taken = all.len();
    (all, all_taken)
}

/// What says how many members were left out is no longer than that, without the pointer.
const TAIL: usize = 80;

fn left_out(pointer: &str, more: usize, end: usize) -> String {
    if pointer.is_empty() {
        format!("{more} more: skip: {end}")
    } else {
        format!("{more} more: pointer: {pointer}, skip: {end}")
    }
}
