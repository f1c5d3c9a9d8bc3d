//! Families of samples, and the two text formats in which they are told.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

/// The text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an `Accept` header asks for: `OpenMetrics` when it is named and nothing else is liked
    /// better, otherwise the format that everybody reads.
    pub fn of_accept(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0_f32, None);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            let is_known = version.is_none_or(|version| version == "1.0.0");
            match &*media {
                "application/openmetrics-text" if is_known => open = weight.max(open),
                "text/plain" => plain = weight.max(plain),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// How often something had which size: counts by upper bound, each without those below it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spread {
    buckets: Vec<(f64, u64)>,
    above: u64,
    sum: f64,
}

impl Spread {
    /// Counts of values up to each bound, by rising bound, and not up to the one before; of values
    /// above the last bound; and the sum of all values.
    pub fn new(buckets: impl IntoIterator<Item = (f64, u64)>, above: u64, sum: f64) -> Self {
        Self {
            buckets: buckets.into_iter().collect(),
            above,
            sum,
        }
    }

    /// Another one with the same bounds joins this one.
    fn join(&mut self, other: &Self) {
        let bounds = |spread: &Self| spread.buckets.iter().map(|(b, _)| *b).collect::<Vec<_>>();
        if bounds(self) == bounds(other) {
            for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
                *count = count.saturating_add(*more);
            }
            self.above = self.above.saturating_add(other.above);
            self.sum += other.sum;
        } else {
            tracing::warn!("a histogram with other bounds than it had is left out");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Level(f64),
    Spread(Spread),
}

type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    samples: BTreeMap<Labels, Value>,
}

/// What a scrape tells, while it is put together. A family that several sources have is told once:
/// counts of the same labels are added up, and of levels the last one counts.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<&'static str, Family>);

/// The samples of a counter.
#[derive(Debug)]
pub struct Counters<'f>(Option<&'f mut Family>);

/// The samples of a gauge.
#[derive(Debug)]
pub struct Gauges<'f>(Option<&'f mut Family>);

/// The samples of a histogram.
#[derive(Debug)]
pub struct Histograms<'f>(Option<&'f mut Family>);

impl Families {
    /// A number that only grows; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Counters<'_> {
        let good = name.strip_suffix("_total").is_some_and(is_name);
        Counters(self.family(name, help, Kind::Counter, good))
    }

    /// A number that grows and shrinks.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauges<'_> {
        let good = is_name(name) && !name.ends_with("_total");
        Gauges(self.family(name, help, Kind::Gauge, good))
    }

    /// How often something had which size.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> Histograms<'_> {
        let good = is_name(name) && !name.ends_with("_total");
        Histograms(self.family(name, help, Kind::Histogram, good))
    }

    /// The names of all families, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        good: bool,
    ) -> Option<&mut Family> {
        if !good {
            tracing::warn!(name, "a metric with a name that is none is left out");
            return None;
        }
        let family = match self.0.entry(name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(Family {
                kind,
                help,
                samples: BTreeMap::new(),
            }),
        };
        if family.kind == kind {
            Some(family)
        } else {
            tracing::warn!(name, "a metric of another kind than it had is left out");
            None
        }
    }

    /// All of it as text.
    pub fn render(&self, format: Format) -> String {
        let mut text = String::new();
        for (name, family) in &self.0 {
            family.write(&mut text, name, format);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

impl Counters<'_> {
    /// Counts so many more under these labels.
    pub fn add(&mut self, labels: &[(&'static str, &str)], count: u64) -> &mut Self {
        if let Some((family, labels)) = self.0.as_deref_mut().zip(checked(labels, Kind::Counter)) {
            let value = family.samples.entry(labels).or_insert(Value::Count(0));
            if let Value::Count(all) = value {
                *all = all.saturating_add(count);
            }
        }
        self
    }
}

impl Gauges<'_> {
    /// Says how it stands under these labels.
    pub fn set(&mut self, labels: &[(&'static str, &str)], level: f64) -> &mut Self {
        if let Some((family, labels)) = self.0.as_deref_mut().zip(checked(labels, Kind::Gauge)) {
            family.samples.insert(labels, Value::Level(level));
        }
        self
    }
}

impl Histograms<'_> {
    /// Adds values under these labels.
    pub fn add(&mut self, labels: &[(&'static str, &str)], spread: Spread) -> &mut Self {
        if let Some((family, labels)) = self.0.as_deref_mut().zip(checked(labels, Kind::Histogram))
        {
            match family.samples.entry(labels) {
                Entry::Vacant(free) => {
                    free.insert(Value::Spread(spread));
                }
                Entry::Occupied(mut known) => {
                    if let Value::Spread(all) = known.get_mut() {
                        all.join(&spread);
                    }
                }
            }
        }
        self
    }
}

impl Family {
    fn write(&self, text: &mut String, name: &str, format: Format) {
        // In OpenMetrics the family of a counter is called without the suffix of its samples.
        let family = match format {
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            Format::Prometheus => name,
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP {family} ");
        escape(text, self.help, format == Format::OpenMetrics);
        let _ = writeln!(text, "\n# TYPE {family} {}", self.kind.as_str());
        for (labels, value) in &self.samples {
            match value {
                Value::Count(count) => sample(text, name, "", labels, None, count),
                Value::Level(level) => sample(text, name, "", labels, None, &number(*level)),
                Value::Spread(spread) => spread.write(text, name, labels),
            }
        }
    }
}

impl Spread {
    fn write(&self, text: &mut String, name: &str, labels: &Labels) {
        let mut count = 0_u64;
        let all = self.buckets.iter().copied();
        for (bound, more) in all.chain([(f64::INFINITY, self.above)]) {
            count = count.saturating_add(more);
            sample(text, name, "_bucket", labels, Some(bound), &count);
        }
        sample(text, name, "_count", labels, None, &count);
        sample(text, name, "_sum", labels, None, &number(self.sum));
    }
}

fn sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &Labels,
    bound: Option<f64>,
    value: &dyn std::fmt::Display,
) {
    text.push_str(name);
    text.push_str(suffix);
    let mut open = '{';
    for (label, value) in labels {
        let _ = write!(text, "{open}{label}=\"");
        escape(text, value, true);
        text.push('"');
        open = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(text, "{open}le=\"{}\"", number(bound));
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// A number as both formats write it. Bounds read alike in both, so that a change of the format makes
/// no new series.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{value:?}")
    }
}

fn escape(text: &mut String, value: &str, with_quotes: bool) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if with_quotes => text.push_str("\\\""),
            c => text.push(c),
        }
    }
}

/// The labels in their order, without what some reader would stumble over: control characters may
/// end a line for it. `None` for labels that are none.
fn checked(labels: &[(&'static str, &str)], kind: Kind) -> Option<Labels> {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    let shown = |value: &str| value.chars().map(shown).collect::<String>();
    let mut all: Labels = labels.iter().map(|(n, v)| (*n, shown(v))).collect();
    all.sort();
    let is_good = |label: &str| {
        let is_taken = label.starts_with("__") || (kind == Kind::Histogram && label == "le");
        is_name(label) && !label.contains(':') && !is_taken
    };
    let is_twice = all.iter().zip(all.iter().skip(1)).any(|(a, b)| a.0 == b.0);
    if is_twice || !all.iter().all(|(label, _)| is_good(label)) {
        tracing::warn!(?labels, "a metric with labels that are none is left out");
        return None;
    }
    Some(all)
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
