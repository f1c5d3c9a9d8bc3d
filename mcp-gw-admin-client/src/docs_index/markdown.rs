//! Markdown: headings are found, the rest stays as it is written.

use super::section::Cutter;

/// How long what stands before a document may be, in lines.
const MOST_FRONT: usize = 400;

/// Reads a document.
pub(super) fn read(text: &str, cutter: &mut Cutter) {
    let text = front(text, cutter);
    let mut fence: Option<Fence> = None;
    let mut previous: Option<&str> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(open) = fence {
            if open.is_closed_by(trimmed) {
                fence = None;
            }
            cutter.line(line);
            continue;
        }
        if let Some(open) = Fence::of(trimmed) {
            flush(&mut previous, cutter);
            fence = Some(open);
            cutter.line(line);
        } else if let Some((level, heading)) = hashes(line) {
            flush(&mut previous, cutter);
            cutter.heading(level, &words(heading));
        } else if let Some((level, heading)) = underlined(previous, trimmed) {
            previous = None;
            cutter.heading(level, &words(plain(heading)));
        } else {
            flush(&mut previous, cutter);
            // Tags of templates are instructions to whoever makes pages of this.
            if !(trimmed.starts_with("{%") && trimmed.trim_end().ends_with("%}")) {
                previous = Some(line);
            }
        }
    }
    flush(&mut previous, cutter);
}

/// A line is held back until it is known that it is no heading.
fn flush(previous: &mut Option<&str>, cutter: &mut Cutter) {
    if let Some(line) = previous.take() {
        cutter.line(line);
    }
}

/// Takes the title and description off what stands between two lines of `---` at the beginning.
fn front<'t>(text: &'t str, cutter: &mut Cutter) -> &'t str {
    let text = text.trim_start_matches('\u{feff}');
    let Some((first, mut rest)) = text.split_once('\n') else {
        return text;
    };
    if first.trim_end() != "---" {
        return text;
    }
    let (mut title, mut description) = (None, None);
    for _ in 0..MOST_FRONT {
        let Some((line, after)) = rest.split_once('\n') else {
            return text;
        };
        rest = after;
        if line.trim_end() == "---" {
            // Only now is it known that it was meant so.
            cutter.title(title.unwrap_or_default());
            cutter.line(description.unwrap_or_default());
            return rest;
        }
        let value = |name: &str| {
            let value = line.strip_prefix(name)?.strip_prefix(':')?.trim();
            let value = value.trim_matches(['"', '\'']);
            (!value.is_empty() && !matches!(value, "|" | ">" | ">-" | "|-")).then_some(value)
        };
        title = title.or_else(|| value("title"));
        description = description.or_else(|| value("description"));
    }
    text
}

/// `## Heading`.
fn hashes(line: &str) -> Option<(usize, &str)> {
    // Further in it is code.
    let line = line
        .strip_prefix("   ")
        .or(line.strip_prefix("  "))
        .or(line.strip_prefix(' '))
        .unwrap_or(line);
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    Some((level, plain(rest)))
}

/// A line under which there is one of `===` or `---`.
fn underlined<'t>(previous: Option<&'t str>, line: &str) -> Option<(usize, &'t str)> {
    let line = line.trim_end();
    let level = match line.chars().next()? {
        '=' if line.len() >= 3 && line.chars().all(|c| c == '=') => 1,
        '-' if line.len() >= 3 && line.chars().all(|c| c == '-') => 2,
        _ => return None,
    };
    let above = previous?.trim();
    let is_text = above.starts_with(|c: char| !"-*+>|#".contains(c));
    is_text.then_some((level, above))
}

/// Without what is there for those who make pages: `{#id}`, `{: .class}`, closing hashes.
fn plain(heading: &str) -> &str {
    let heading = match heading.rsplit_once('{') {
        Some((before, mark)) if mark.starts_with(['#', ':']) && mark.trim_end().ends_with('}') => {
            before
        }
        _ => heading,
    };
    heading.trim().trim_end_matches('#').trim_end()
}

/// Of links the words, of images nothing: `[![badge]](…)` is not what a section is about.
fn words(heading: &str) -> String {
    let mut out = String::new();
    let mut chars = heading.chars().peekable();
    // How many brackets of images are open, and whether a bracket was just closed.
    let (mut images, mut is_behind) = (0usize, false);
    while let Some(c) = chars.next() {
        let was_behind = std::mem::take(&mut is_behind);
        match c {
            '!' if chars.peek() == Some(&'[') => {
                chars.next();
                images += 1;
            }
            '[' | '(' if was_behind => {
                let end = if c == '[' { ']' } else { ')' };
                chars.by_ref().find(|c| *c == end);
                is_behind = c == '[';
            }
            '[' if images > 0 => images += 1,
            '[' => {}
            ']' => {
                images = images.saturating_sub(1);
                is_behind = true;
            }
            c if images == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// What code stands between.
#[derive(Clone, Copy)]
struct Fence {
    mark: char,
    length: usize,
}

impl Fence {
    fn of(line: &str) -> Option<Self> {
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = line.chars().take_while(|c| *c == mark).count();
        (length >= 3).then_some(Self { mark, length })
    }

    fn is_closed_by(self, line: &str) -> bool {
        let line = line.trim_end();
        line.chars().all(|c| c == self.mark) && line.chars().count() >= self.length
    }
}
