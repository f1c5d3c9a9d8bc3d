//! Documents, cut into the sections that are found.

use crate::konnect::text::{is_unseen, tame};

/// The longest section, in bytes; longer ones are several.
const LONGEST: usize = 3_000;
/// The longest title or heading, in characters.
const LONGEST_HEADING: usize = 160;
/// How many headings a section is under at most.
const DEEPEST: usize = 6;

/// A document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) source: String,
    pub(super) title: String,
    pub(super) sections: Vec<Section>,
}

/// A part of it under one heading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) text: String,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Markdown,
    Html,
    Text,
}

impl Kind {
    /// By the end of a name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once('.')?;
        match end.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdx" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "txt" | "text" | "rst" | "adoc" => Some(Self::Text),
            _ => None,
        }
    }
}

impl Document {
    pub(super) fn of(source: &str, kind: Kind, text: &str) -> Self {
        let mut cutter = Cutter::default();
        match kind {
            Kind::Markdown => super::markdown::read(text, &mut cutter),
            Kind::Html => super::html::read(text, &mut cutter),
            Kind::Text => text.lines().for_each(|line| cutter.line(line)),
        }
        cutter.finish(source)
    }
}

/// Takes headings and lines, and makes sections of them.
#[derive(Default)]
pub(super) struct Cutter {
    title: Option<String>,
    headings: Vec<(usize, String)>,
    text: String,
    sections: Vec<Section>,
}

impl Cutter {
    /// The first one counts.
    pub(super) fn title(&mut self, title: &str) {
        let title = tame(title, LONGEST_HEADING);
        if self.title.is_none() && !title.is_empty() {
            self.title = Some(title);
        }
    }

    /// A heading: those of its level and below end.
    pub(super) fn heading(&mut self, level: usize, heading: &str) {
        self.cut();
        let heading = tame(heading, LONGEST_HEADING);
        self.headings.retain(|(above, _)| *above < level);
        if level == 1 {
            self.title(&heading);
        }
        if !heading.is_empty() && self.headings.len() < DEEPEST {
            self.headings.push((level, heading));
        }
    }

    /// A line of text.
    pub(super) fn line(&mut self, line: &str) {
        if self.text.len() + line.len() > LONGEST {
            self.cut();
        }
        let seen = |c: char| if is_unseen(c) && c != '\t' { ' ' } else { c };
        for c in line.trim_end().chars().map(seen) {
            // A line without an end, as of a program that was made short.
            if self.text.len() >= LONGEST {
                self.cut();
            }
            self.text.push(c);
        }
        // One blank line is as good as many.
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn cut(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let headings: Vec<&str> = self.headings.iter().map(|(_, one)| one.as_str()).collect();
        self.sections.push(Section {
            heading: headings.join(" > "),
            text: text.to_owned(),
        });
    }

    fn finish(mut self, source: &str) -> Document {
        self.cut();
        let title = self.title.unwrap_or_else(|| {
            let name = source.rsplit('/').next().unwrap_or(source);
            name.rsplit_once('.')
                .map_or(name, |(stem, _)| stem)
                .to_owned()
        });
        Document {
            source: source.to_owned(),
            title,
            sections: self.sections,
        }
    }
}
