//! The ways in which a text may be written in another.

/// A way to read bytes: with `\` as in JSON, with `%` as in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    json: Json,
    percent: bool,
}

/// What `\` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Json {
    /// Itself.
    Plain,
    /// What it means in a JSON string.
    String,
    /// What it means in a JSON string that stands in another.
    Nested,
}

/// What is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    bytes: [u8; 4],
    length: usize,
    /// How many bytes it takes as it is written.
    pub(super) taken: usize,
}

impl Reading {
    /// The first one takes every byte as it is.
    pub(super) const ALL: [Self; 6] = [
        Self::new(Json::Plain, false),
        Self::new(Json::String, false),
        Self::new(Json::Nested, false),
        Self::new(Json::Plain, true),
        Self::new(Json::String, true),
        Self::new(Json::Nested, true),
    ];

    const fn new(json: Json, percent: bool) -> Self {
        Self { json, percent }
    }

    /// True for bytes that the readings do not all take in the same way.
    pub(super) const fn is_sign(byte: u8) -> bool {
        byte == b'\\' || byte == b'%'
    }

    /// What comes first. `None` where that depends on what follows, and `is_end` does not say that nothing
    /// does.
    pub(super) fn first(self, bytes: &[u8], is_end: bool) -> Option<Unit> {
        let written = match bytes {
            [b'%', rest @ ..] if self.percent => percent(rest),
            [b'\\', rest @ ..] => match self.json {
                Json::Plain => Written::Otherwise,
                Json::String => escape(rest),
                Json::Nested => nested(bytes, rest),
            },
            _ => Written::Otherwise,
        };
        match written {
            Written::As(unit) => Some(unit),
            Written::Open if !is_end => None,
            Written::Open | Written::Otherwise => Some(Unit::plain(*bytes.first()?)),
        }
    }
}

impl Unit {
    const fn plain(byte: u8) -> Self {
        Self::byte(byte, 1)
    }

    const fn byte(byte: u8, taken: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            length: 1,
            taken,
        }
    }

    fn char(c: char, taken: usize) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self {
            bytes,
            length,
            taken,
        }
    }

    /// What it says.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What a sign and the bytes behind it are.
enum Written {
    As(Unit),
    /// It takes more of them to say so.
    Open,
    /// Nothing but themselves.
    Otherwise,
}

fn percent(digits: &[u8]) -> Written {
    match number(digits, 2) {
        Number::Is(value) => match u8::try_from(value) {
            Ok(byte) => Written::As(Unit::byte(byte, 3)),
            Err(_) => Written::Otherwise,
        },
        Number::Open => Written::Open,
        Number::No => Written::Otherwise,
    }
}

/// What comes behind `\`.
fn escape(rest: &[u8]) -> Written {
    match rest {
        [] => Written::Open,
        [b'u', digits @ ..] => unicode(b"\\u", digits),
        [b't', ..] => Written::As(Unit::byte(b'\t', 2)),
        [sign @ (b'"' | b'\\' | b'/' | b'\''), ..] => Written::As(Unit::byte(*sign, 2)),
        _ => Written::Otherwise,
    }
}

/// What comes behind `\` in a JSON string within another: where that says `\` in the outer one, it begins an
/// escape of the inner one.
fn nested(bytes: &[u8], rest: &[u8]) -> Written {
    let outer = escape(rest);
    let Written::As(backslash) = &outer else {
        return outer;
    };
    if backslash.bytes() != b"\\" {
        return outer;
    }
    let taken = backslash.taken;
    match bytes.get(taken..).unwrap_or_default() {
        [] => Written::Open,
        [b'u', digits @ ..] => match unicode(bytes.get(..=taken).unwrap_or_default(), digits) {
            Written::Otherwise => outer,
            written => written,
        },
        [b't', ..] => Written::As(Unit::byte(b'\t', taken + 1)),
        [sign @ (b'/' | b'\''), ..] => Written::As(Unit::byte(*sign, taken + 1)),
        [b'\\', rest @ ..] => match escape(rest) {
            Written::As(sign) if matches!(sign.bytes(), [b'"' | b'\\' | b'/' | b'\'']) => {
                Written::As(Unit {
                    taken: taken + sign.taken,
                    ..sign
                })
            }
            Written::Open => Written::Open,
            _ => outer,
        },
        _ => outer,
    }
}

/// What comes behind `\u`, which may be written as `lead`.
fn unicode(lead: &[u8], digits: &[u8]) -> Written {
    let high = match number(digits, 4) {
        Number::Is(value) => value,
        Number::Open => return Written::Open,
        Number::No => return Written::Otherwise,
    };
    let taken = lead.len() + 4;
    if let Some(c) = char::from_u32(high) {
        return Written::As(Unit::char(c, taken));
    }
    let behind = digits.get(4..).unwrap_or_default();
    let low = match behind.strip_prefix(lead) {
        Some(digits) => number(digits, 4),
        None if lead.starts_with(behind) => Number::Open,
        None => Number::No,
    };
    match low {
        Number::Open if (0xd800..0xdc00).contains(&high) => Written::Open,
        Number::Is(low) if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) => {
            let value = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            let c = char::from_u32(value).map(|c| Unit::char(c, 2 * taken));
            c.map_or(Written::Otherwise, Written::As)
        }
        _ => Written::Otherwise,
    }
}

enum Number {
    Is(u32),
    /// All digits that there are could be the beginning of one.
    Open,
    No,
}

/// A number of `count` hexadecimal digits of either case.
fn number(bytes: &[u8], count: usize) -> Number {
    let mut value = 0;
    for at in 0..count {
        let Some(byte) = bytes.get(at) else {
            return Number::Open;
        };
        match char::from(*byte).to_digit(16) {
            Some(digit) => value = value * 16 + digit,
            None => return Number::No,
        }
    }
    Number::Is(value)
}
