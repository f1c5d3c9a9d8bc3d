//! What Prometheus answers: read, counted, made shorter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use schemars::JsonSchema;
use serde::ser::{SerializeSeq as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// No label is shown longer than that.
const LONGEST_LABEL: usize = 256;

/// No series is shown with more labels.
const MOST_LABELS: usize = 32;

/// A time in seconds since 1970, and what was measured then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point(pub(crate) f64, pub(crate) f64);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(2))?;
        seq.serialize_element(&whole(self.0))?;
        seq.serialize_element(&number(self.1))?;
        seq.end()
    }
}

impl JsonSchema for Point {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Point".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": { "anyOf": [
                { "type": "number" },
                { "type": "string", "enum": ["NaN", "+Inf", "-Inf"] },
            ]},
        })
    }
}

/// A number of JSON, without a point where it is whole.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::from(value as i64);
    }
    Value::from(value)
}

/// JSON has no word for what is no number; Prometheus has three.
fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        whole(rounded(value))
    }
}

/// Six digits that count.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// What all points of a series come to; what is no number does not count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Stats {
    /// How many points there are.
    pub(crate) points: usize,
    /// How many of them are NaN or infinite.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    pub(crate) not_numbers: usize,
    /// The last number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<f64>,
    /// The least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<f64>,
    /// The average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avg: Option<f64>,
    /// The greatest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Stats {
    pub(crate) fn of(points: &[Point]) -> Self {
        let mut stats = Self {
            points: points.len(),
            ..Self::default()
        };
        let (mut sum, mut count) = (0.0, 0.0);
        for Point(_, value) in points {
            if !value.is_finite() {
                stats.not_numbers += 1;
                continue;
            }
            sum += value;
            count += 1.0;
            stats.last = Some(*value);
            stats.min = Some(stats.min.map_or(*value, |least| least.min(*value)));
            stats.max = Some(stats.max.map_or(*value, |most| most.max(*value)));
        }
        if count > 0.0 {
            stats.avg = Some(sum / count).filter(|avg: &f64| avg.is_finite());
        }
        for value in [
            &mut stats.last,
            &mut stats.min,
            &mut stats.avg,
            &mut stats.max,
        ] {
            *value = value.map(rounded);
        }
        stats
    }
}

/// A row of points that have the same labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) points: Vec<Point>,
}

/// Why there are no series.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Prometheus says what is wrong.
    Refused(String),
    /// The answer is none of Prometheus.
    Odd(String),
}

/// What was answered.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answered {
    pub(crate) series: Vec<Series>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    result: Option<Vec<WireSeries>>,
}

/// A time, and a number as text.
type Sample = (f64, Value);

#[derive(Deserialize)]
struct WireSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    values: Option<Vec<Option<Sample>>>,
}

/// Reads the answer of Prometheus, which the dashboard puts into `value`.
pub(crate) fn read(body: &RawJson) -> Result<Answered, Unread> {
    let inner = body.member("value").ok().flatten();
    let wire: Wire = inner
        .as_ref()
        .unwrap_or(body)
        .decode_owned()
        .map_err(|error| Unread::Odd(error.message))?;
    if wire.status != "success" {
        let kind = wire.error_type.unwrap_or_else(|| wire.status.clone());
        let says = wire
            .error
            .unwrap_or_else(|| "no reason is given".to_owned());
        return Err(Unread::Refused(format!("{kind}: {says}")));
    }
    let result = wire.data.and_then(|data| data.result).unwrap_or_default();
    let mut series = Vec::with_capacity(result.len());
    for one in result {
        let values = one.values.unwrap_or_else(|| vec![one.value]);
        let values = values.into_iter().flatten();
        let points: Result<Vec<Point>, Unread> = values
            .map(|(time, value)| Ok(Point(time, measured(&value)?)))
            .collect();
        series.push(Series {
            labels: labels(one.metric),
            points: points?,
        });
    }
    Ok(Answered {
        series,
        warnings: wire.warnings,
    })
}

/// What was measured; where nothing is said, it is no number.
fn measured(value: &Value) -> Result<f64, Unread> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| {
        let shown: String = value.to_string().chars().take(32).collect();
        Unread::Odd(format!("{shown} is not a number"))
    })
}

fn labels(all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let more = all.len().saturating_sub(MOST_LABELS);
    let kept = all.into_iter().take(MOST_LABELS);
    let mut labels: BTreeMap<_, _> = kept
        .map(|(name, value)| (short(&name), short(&value)))
        .collect();
    if more > 0 {
        labels.insert("[cut]".to_owned(), format!("{more} more labels"));
    }
    labels
}

fn short(text: &str) -> String {
    crate::http::one_line(text, LONGEST_LABEL)
}

/// Puts what is great first; what is as great is in the order of its labels.
pub(crate) fn sort(series: &mut [Series]) {
    let greatest = |series: &Series| {
        let finite = series.points.iter().map(|point| point.1);
        finite
            .filter(|value| value.is_finite())
            .fold(f64::NEG_INFINITY, f64::max)
    };
    series.sort_by(|a, b| {
        greatest(b)
            .total_cmp(&greatest(a))
            .then_with(|| a.labels.cmp(&b.labels))
    });
}

/// At most `most` of the points: of each of as many parts of equal size the least and the greatest, in the order of
/// time. Nothing is invented, and no spike is lost.
pub(crate) fn downsample(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let parts = (most / 2).max(1);
    let mut kept = Vec::with_capacity(parts * 2);
    let mut rest = points;
    for left in (1..=parts).rev() {
        let size = rest.len().div_ceil(left);
        let (part, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        let finite = || part.iter().enumerate().filter(|(_, p)| p.1.is_finite());
        let least = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let most = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        match (least, most) {
            (Some(a), Some(b)) if a.0 == b.0 => kept.push(*a.1),
            (Some(a), Some(b)) => {
                let (first, second) = if a.0 < b.0 { (a, b) } else { (b, a) };
                kept.extend([*first.1, *second.1]);
            }
            _ => kept.extend(part.first()),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
