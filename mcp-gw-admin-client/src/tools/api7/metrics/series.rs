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

#[derive(Deserialize)]
struct WireSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    values: Option<Vec<(f64, String)>>,
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
        let values = one
            .values
            .unwrap_or_else(|| one.value.into_iter().collect());
        let points: Result<Vec<Point>, Unread> = values
            .into_iter()
            .map(|(time, text)| {
                let value = text.parse().map_err(|_| {
                    let shown: String = text.chars().take(32).collect();
                    Unread::Odd(format!("{shown:?} is not a number"))
                })?;
                Ok(Point(time, value))
            })
            .collect();
        series.push(Series {
            labels: one
                .metric
                .into_iter()
                .map(|(name, value)| (short(&name), short(&value)))
                .collect(),
            points: points?,
        });
    }
    Ok(Answered {
        series,
        warnings: wire.warnings,
    })
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(value: &Value) -> RawJson {
        RawJson::from_serialize(value).unwrap()
    }

    #[test]
    fn an_answer_is_read_with_and_without_the_envelope_of_the_dashboard() {
        let inner = json!({"status": "success", "warnings": ["slow"], "data": {"resultType": "matrix", "result": [
            {"metric": {"code": "200"}, "values": [[10, "1.5"], [25.5, "NaN"], [40, "+Inf"], [55, "-Inf"]]}
        ]}});
        for body in [inner.clone(), json!({ "value": inner })] {
            let answered = read(&raw(&body)).unwrap();
            assert_eq!(answered.warnings, ["slow"]);
            let series = &answered.series[0];
            assert_eq!(series.labels["code"], "200");
            assert_eq!(
                serde_json::to_value(&series.points).unwrap(),
                json!([[10, 1.5], [25.5, "NaN"], [40, "+Inf"], [55, "-Inf"]])
            );
            let stats = Stats::of(&series.points);
            assert_eq!(
                (stats.points, stats.not_numbers, stats.last),
                (4, 3, Some(1.5))
            );
        }
        let instant =
            json!({"status": "success", "data": {"result": [{"metric": {}, "value": [1, "7"]}]}});
        assert_eq!(
            read(&raw(&instant)).unwrap().series[0].points,
            [Point(1.0, 7.0)]
        );
    }

    #[test]
    fn what_is_no_answer_says_so() {
        let refused =
            json!({"value": {"status": "error", "errorType": "bad_data", "error": "parse error"}});
        let error = read(&raw(&refused)).unwrap_err();
        assert_eq!(error, Unread::Refused("bad_data: parse error".to_owned()));
        for body in [
            json!({}),
            json!([]),
            json!({"value": {"id": "x"}}),
            json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}),
            json!({"status": "success", "data": {"result": [{"value": [1, "many"]}]}}),
        ] {
            assert!(matches!(read(&raw(&body)), Err(Unread::Odd(_))), "{body}");
        }
        let empty = json!({"status": "success"});
        assert_eq!(read(&raw(&empty)), Ok(Answered::default()));
    }

    #[test]
    fn numbers_are_short_and_nothing_is_lost_of_small_ones() {
        for (value, expected) in [
            (0.066_666_666_666, json!(0.066_666_7)),
            (123_456_789.0, json!(123_457_000)),
            (0.000_001_234_567_8, json!(0.000_001_234_57)),
            (0.0, json!(0)),
            (-3.0, json!(-3)),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(Stats::of(&[]), Stats::default());
        let huge = Stats::of(&[Point(0.0, f64::MAX), Point(1.0, f64::MAX)]);
        assert_eq!(huge.avg, None);
    }

    proptest! {
        #[test]
        fn downsampling_keeps_extremes_order_and_bound(
            values in proptest::collection::vec(prop_oneof![8 => -1e3_f64..1e3, 1 => Just(f64::NAN)], 0..400),
            most in 2_usize..60,
        ) {
            let times = (0_u32..).map(f64::from);
            let points: Vec<Point> = times.zip(&values).map(|(t, v)| Point(t, *v)).collect();
            let kept = downsample(&points, most);
            prop_assert!(kept.len() <= most.max(2));
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let (all, some) = (Stats::of(&points), Stats::of(&kept));
            prop_assert_eq!((all.min, all.max), (some.min, some.max));
            for point in kept {
                prop_assert!(points.iter().any(|p| p.0.to_bits() == point.0.to_bits() && p.1.to_bits() == point.1.to_bits()));
            }
        }
    }
}
