//! Durations and sizes as people write them: `30s`, `4MiB`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A duration written as a whole number with a unit: `250ms`, `30s`, `5m`, `2h` or `7d`. A day
/// is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationText(Duration);

impl DurationText {
    /// Wraps `duration`; anything below a millisecond is lost when it is written out.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for DurationText {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<DurationText> for Duration {
    fn from(text: DurationText) -> Self {
        text.0
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis % 3_600_000 == 0 => write!(f, "{}h", millis / 3_600_000),
            _ if millis % 60_000 == 0 => write!(f, "{}m", millis / 60_000),
            _ if millis % 1_000 == 0 => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl FromStr for DurationText {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(TextError(DURATION_HELP)),
        };
        if number.is_empty() {
            return Err(TextError(DURATION_HELP));
        }
        let number: Option<u64> = number.parse().ok();
        let millis = number.and_then(|number| number.checked_mul(millis));
        millis
            .map(Duration::from_millis)
            .map(Self)
            .ok_or(TextError("the duration is too long"))
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "patternErrorMessage": DURATION_HELP,
        })
    }
}

/// A size in bytes, written as a whole number or with a unit: `65536`, `64KiB`, `4MiB`, `10MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        match bytes {
            0 => f.write_str("0"),
            _ if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            _ if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            _ if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            _ => write!(f, "{bytes}B"),
        }
    }
}

impl FromStr for ByteSize {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split(text);
        let unit: u64 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(TextError(SIZE_HELP)),
        };
        if number.is_empty() {
            return Err(TextError(SIZE_HELP));
        }
        let number: Option<u64> = number.parse().ok();
        let bytes = number.and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or(TextError("the size is too large"))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[0-9]+(B|kB|KB|MB|GB|KiB|MiB|GiB)?$",
            "patternErrorMessage": SIZE_HELP,
        })
    }
}

/// Why a text is no duration or size; it does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(&'static str);

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

const DURATION_HELP: &str =
    "write a whole number with a unit, such as `250ms`, `30s`, `5m`, `2h` or `7d`";
const SIZE_HELP: &str = "write a number of bytes, or a size such as `64KiB` or `4MiB`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_the_same_text() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("0s", 0),
        ] {
            let duration: DurationText = text.parse().unwrap();
            assert_eq!(duration.get(), Duration::from_millis(millis));
            assert_eq!(duration.to_string(), text);
        }
        let week: DurationText = "7d".parse().unwrap();
        assert_eq!(week.get(), Duration::from_secs(7 * 86_400));
        assert_eq!(week.to_string(), "168h");
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "5w",
            "1y",
            "99999999999999999h",
            "99999999999999999d",
        ] {
            assert!(text.parse::<DurationText>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_and_write_the_same_text() {
        for (text, bytes) in [
            ("4MiB", 4 << 20),
            ("64KiB", 64 << 10),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("10MB".parse(), Ok(ByteSize::new(10_000_000)));
        assert_eq!("12".parse(), Ok(ByteSize::new(12)));
        for text in ["", "MiB", "1.5MiB", "-1", "4 MiB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
