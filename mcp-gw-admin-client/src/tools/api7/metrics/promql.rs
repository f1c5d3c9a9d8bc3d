//! The queries: what is given by somebody is a label value in them, and nothing else.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Metric {
    #[serde(rename = "api-status-dist")]
    StatusDist,
    #[serde(rename = "api-failure-requests")]
    FailureRequests,
    #[serde(rename = "api-requests")]
    Requests,
    #[serde(rename = "api-bandwidth")]
    Bandwidth,
    #[serde(rename = "api-latency")]
    Latency,
    #[serde(rename = "api-connections")]
    Connections,
    #[serde(rename = "api-qps")]
    Qps,
}

/// What series are told apart by.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[schemars(inline)]
pub(crate) enum Label {
    #[serde(rename = "service_id")]
    Service,
    #[serde(rename = "route_id")]
    Route,
    #[serde(rename = "gateway_group_id")]
    GatewayGroup,
    #[serde(rename = "instance_id")]
    Instance,
}

impl Label {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service_id",
            Self::Route => "route_id",
            Self::GatewayGroup => "gateway_group_id",
            Self::Instance => "instance_id",
        }
    }
}

impl Metric {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StatusDist => "api-status-dist",
            Self::FailureRequests => "api-failure-requests",
            Self::Requests => "api-requests",
            Self::Bandwidth => "api-bandwidth",
            Self::Latency => "api-latency",
            Self::Connections => "api-connections",
            Self::Qps => "api-qps",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::StatusDist | Self::FailureRequests | Self::Requests => "requests",
            Self::Bandwidth => "bytes/s",
            Self::Latency => "ms",
            Self::Connections => "connections",
            Self::Qps => "requests/s",
        }
    }

    /// One number for the whole time, not a row of points.
    pub(crate) const fn is_instant(self) -> bool {
        matches!(
            self,
            Self::StatusDist | Self::FailureRequests | Self::Requests
        )
    }

    /// Whether its series carry this label.
    pub(crate) const fn knows(self, label: Label) -> bool {
        match self {
            Self::Connections => matches!(label, Label::Instance | Label::GatewayGroup),
            _ => true,
        }
    }
}

/// What a query is made of. `range` and `window` are durations that were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// All of them must hold.
    pub(crate) filters: &'a [(Label, &'a str)],
    pub(crate) group_by: &'a [Label],
    /// What instant queries look back on.
    pub(crate) range: &'a str,
    /// What rates are made of.
    pub(crate) window: &'a str,
}

/// The query of a metric.
pub(crate) fn query(metric: Metric, parts: &Parts<'_>) -> String {
    let known = parts.filters.iter();
    let f = selector(known.filter(|(label, _)| metric.knows(*label)));
    let (range, window) = (parts.range, parts.window);
    let by = |space: &str, more: &str| by(parts.group_by, space, more);
    match metric {
        Metric::StatusDist => format!(
            "sum{}(increase(apisix_http_status{{{f}}}[{range}])) != 0",
            by(" ", "code")
        ),
        Metric::FailureRequests => format!(
            r#"sum{}(increase(apisix_http_status{{code=~"^[4-5]\\d\\d",{f}}}[{range}]))"#,
            by(" ", "")
        ),
        Metric::Requests => {
            format!(
                "sum{}(increase(apisix_http_status{{{f}}}[{range}]))",
                by(" ", "")
            )
        }
        Metric::Bandwidth => {
            format!(
                "sum{}(rate(apisix_bandwidth{{{f}}}[{window}]))",
                by("", "type")
            )
        }
        // The time of all requests by their number: an average, also of several series.
        Metric::Latency => {
            let by = by(" ", "");
            let rate = |part: &str| {
                format!(
                    "sum{by}(rate(apisix_http_latency_{part}{{type=\"request\",{f}}}[{window}]))"
                )
            };
            format!("{} / {}", rate("sum"), rate("count"))
        }
        Metric::Connections => {
            format!(
                "sum{}(apisix_nginx_http_current_connections{{{f}}})",
                by(" ", "state")
            )
        }
        // Nothing at all in a second is what somebody looks for in an outage: it stays.
        Metric::Qps => format!(
            "sum{}(rate(apisix_http_status{{{f}}}[{window}]))",
            by(" ", "code")
        ),
    }
}

fn by(group_by: &[Label], space: &str, more: &str) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for label in group_by {
        if !labels.contains(&label.as_str()) {
            labels.push(label.as_str());
        }
    }
    labels.extend(Some(more).filter(|more| !more.is_empty()));
    if labels.is_empty() {
        return String::new();
    }
    format!(" by{space}({})", labels.join(","))
}

fn selector<'a>(filters: impl Iterator<Item = &'a (Label, &'a str)>) -> String {
    let all: Vec<String> = filters
        .map(|(label, value)| format!("{}={}", label.as_str(), quoted(value)))
        .collect();
    all.join(",")
}

/// A string literal of `PromQL`, in double quotes, with the escapes of Go.
pub(crate) fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let code = u32::from(c);
                let _ = write!(out, "\\u{code:04x}");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Metric; 7] = [
        Metric::StatusDist,
        Metric::FailureRequests,
        Metric::Requests,
        Metric::Bandwidth,
        Metric::Latency,
        Metric::Connections,
        Metric::Qps,
    ];

    /// The query with `$` for each string literal, and the literals.
    fn read(query: &str) -> (String, Vec<String>) {
        let (mut plain, mut strings) = (String::new(), Vec::new());
        let mut chars = query.chars();
        while let Some(c) = chars.next() {
            if c != '"' {
                assert!(!c.is_control() && c != '\'' && c != '`', "{c:?} in {query}");
                plain.push(c);
                continue;
            }
            let mut string = String::new();
            loop {
                match chars.next().expect("a literal ends") {
                    '"' => break,
                    '\n' => panic!("a literal is on one line"),
                    '\\' => string.push(match chars.next().unwrap() {
                        'n' => '\n',
                        'u' => {
                            let code: String = chars.by_ref().take(4).collect();
                            char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
                        }
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} is no escape"),
                    }),
                    c => string.push(c),
                }
            }
            plain.push('$');
            strings.push(string);
        }
        (plain, strings)
    }

    fn of(metric: Metric, values: [&str; 4], group_by: &[Label]) -> String {
        let [service, route, instance, group] = values;
        query(
            metric,
            &Parts {
                filters: &[
                    (Label::Service, service),
                    (Label::Route, route),
                    (Label::Instance, instance),
                    (Label::GatewayGroup, group),
                ],
                group_by,
                range: "15m",
                window: "1m",
            },
        )
    }

    #[test]
    fn the_queries_are_what_we_promise() {
        let mut lines = Vec::new();
        for metric in ALL {
            lines.push(format!("# {}", metric.name()));
            lines.push(of(metric, ["s", "r", "i", "g"], &[Label::GatewayGroup]));
            let parts = Parts {
                filters: &[],
                group_by: &[],
                range: "6h",
                window: "90s",
            };
            lines.push(query(metric, &parts));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_value_cannot_end_its_literal() {
        assert_eq!(quoted("a\"b\\c\nd\0"), r#""a\"b\\c\nd\u0000""#);
        let query = of(Metric::Requests, ["x\"} or up{a=\"", "", "", ""], &[]);
        assert!(
            query.contains(r#"service_id="x\"} or up{a=\"","#),
            "{query}"
        );
    }

    proptest! {
        #[test]
        fn no_label_value_changes_the_structure_of_a_query(
            values in proptest::array::uniform4("([\"'`\\\\{}()=~!,\n\r\t#\\[\\]]|or|by|.|\\PC){0,12}"),
            group_by in proptest::collection::vec(
                proptest::sample::select(vec![Label::Route, Label::Instance]), 0..3),
        ) {
            for metric in ALL {
                let [a, b, c, d] = &values;
                let hostile = read(&of(metric, [a, b, c, d], &group_by));
                let plain = read(&of(metric, ["w", "x", "y", "z"], &group_by));
                prop_assert_eq!(&hostile.0, &plain.0);
                let expected = plain.1.iter().map(|value| match &**value {
                    "w" => a, "x" => b, "y" => c, "z" => d, fixed => fixed,
                });
                let expected: Vec<&str> = expected.collect();
                prop_assert_eq!(hostile.1, expected);
                let known = if metric == Metric::Connections { 2 } else { 4 };
                prop_assert!(plain.1.len() >= known);
            }
        }
    }
}
