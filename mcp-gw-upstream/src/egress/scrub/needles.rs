//! The texts that are looked for, as a machine that reads each byte once (Aho and Corasick, 1975).

use std::sync::OnceLock;

use mcp_gw_core::Secret;

/// So much of a text has to be there before it is read closely; none is shorter.
pub(super) const PREFIX: usize = 6;
/// Where nothing of any text has been read.
pub(super) const ROOT: usize = 0;

/// Texts, in the memory that is wiped.
pub(super) struct Needles {
    texts: Vec<Secret<String>>,
    /// Most answers never get so far that it is needed.
    machine: OnceLock<Box<Machine>>,
}

impl Needles {
    pub(super) fn new(texts: Vec<String>) -> Self {
        Self {
            texts: texts.into_iter().map(Secret::new).collect(),
            machine: OnceLock::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text.expose())
    }

    /// How each of them begins.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        let prefix = |text: &[u8]| text.len().min(PREFIX);
        let bytes = self.texts.iter().map(|text| text.expose().as_bytes());
        bytes.map(move |text| text.get(..prefix(text)).unwrap_or_default())
    }

    /// Where `state` goes with `byte`, and how many states it took.
    pub(super) fn step(&self, state: usize, byte: u8) -> (usize, u64) {
        self.machine().step(&self.texts, state, byte)
    }

    /// How many bytes of a text have been read.
    pub(super) fn depth(&self, state: usize) -> usize {
        self.machine().node(state).depth
    }

    /// How long the longest text is that ends here.
    pub(super) fn ends(&self, state: usize) -> Option<usize> {
        let ends = self.machine().node(state).ends;
        (ends > 0).then_some(ends)
    }

    fn machine(&self) -> &Machine {
        self.machine
            .get_or_init(|| Box::new(Machine::of(&self.texts)))
    }
}

/// What was read: the first `depth` bytes of the text `of`. The bytes themselves stay where they are.
#[derive(Clone, Copy, Default)]
struct Node {
    of: usize,
    depth: usize,
    /// The first of those that have one byte more; the others follow as siblings.
    child: Option<usize>,
    sibling: Option<usize>,
    /// The longest beginning of a text that this ends with.
    fail: usize,
    /// The longest text that this ends with.
    ends: usize,
}

struct Machine {
    nodes: Vec<Node>,
    first: [usize; 256],
}

impl Machine {
    fn of(texts: &[Secret<String>]) -> Self {
        let mut machine = Self {
            nodes: vec![Node::default()],
            first: [ROOT; 256],
        };
        for (of, text) in texts.iter().enumerate() {
            let mut at = ROOT;
            for (depth, byte) in (1..).zip(text.expose().bytes()) {
                at = match machine.child(texts, at, byte) {
                    Some(child) => child,
                    None => machine.add(at, of, depth),
                };
                if at != ROOT && depth == 1 {
                    machine.begin(byte, at);
                }
            }
            if let Some(node) = machine.nodes.get_mut(at) {
                node.ends = node.depth;
            }
        }
        machine.link(texts);
        machine
    }

    fn begin(&mut self, byte: u8, at: usize) {
        if let Some(first) = self.first.get_mut(usize::from(byte)) {
            *first = at;
        }
    }

    fn add(&mut self, parent: usize, of: usize, depth: usize) -> usize {
        let new = self.nodes.len();
        let sibling = self.node(parent).child;
        self.nodes.push(Node {
            of,
            depth,
            sibling,
            ..Node::default()
        });
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.child = Some(new);
        }
        new
    }

    /// Finds where each state goes on when its text does not, the shorter ones first.
    fn link(&mut self, texts: &[Secret<String>]) {
        let mut next = vec![ROOT];
        while !next.is_empty() {
            let mut below = Vec::new();
            for parent in next {
                let mut child = self.node(parent).child;
                while let Some(at) = child {
                    let byte = self.byte(texts, at);
                    let fail = match (parent, byte) {
                        (ROOT, _) | (_, None) => ROOT,
                        (_, Some(byte)) => self.step(texts, self.node(parent).fail, byte).0,
                    };
                    let ends = self.node(fail).ends;
                    child = self.node(at).sibling;
                    if let Some(node) = self.nodes.get_mut(at) {
                        node.fail = fail;
                        node.ends = node.ends.max(ends);
                    }
                    below.push(at);
                }
            }
            next = below;
        }
    }

    fn step(&self, texts: &[Secret<String>], state: usize, byte: u8) -> (usize, u64) {
        let (mut state, mut took) = (state, 1);
        while state != ROOT {
            if let Some(child) = self.child(texts, state, byte) {
                return (child, took);
            }
            state = self.node(state).fail;
            took += 1;
        }
        let first = self.first.get(usize::from(byte));
        (first.copied().unwrap_or(ROOT), took)
    }

    fn child(&self, texts: &[Secret<String>], state: usize, byte: u8) -> Option<usize> {
        let mut child = self.node(state).child;
        while let Some(at) = child {
            if self.byte(texts, at) == Some(byte) {
                return child;
            }
            child = self.node(at).sibling;
        }
        None
    }

    /// The byte that leads to a state.
    fn byte(&self, texts: &[Secret<String>], at: usize) -> Option<u8> {
        let node = self.node(at);
        let text = texts.get(node.of)?.expose().as_bytes();
        text.get(node.depth.checked_sub(1)?).copied()
    }

    fn node(&self, at: usize) -> Node {
        self.nodes.get(at).copied().unwrap_or_default()
    }
}
