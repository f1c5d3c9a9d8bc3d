//! The body of `POST /v2/api-requests`.

use serde::Serialize;
use serde_json::{Value, json};

use crate::konnect::ArgumentFault;
use crate::konnect::ids::ScopedId;

/// How far back a query can look.
pub const TIME_RANGES: [&str; 6] = ["15M", "1H", "6H", "12H", "24H", "7D"];
/// How many rows can be asked for.
pub const RESULTS: std::ops::RangeInclusive<i64> = 1..=1000;
/// How many rows are asked for when nothing is said.
pub const DEFAULT_RESULTS: u32 = 100;
/// How many values one filter may have.
const MOST_VALUES: usize = 100;
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
];

/// The arguments of `GetAnalytics`. Empty lists and `None` restrict nothing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct QueryInput {
    /// One of [`TIME_RANGES`].
    pub time_range: String,
    /// Any of these, 0 to 999.
    pub status_codes: Vec<i64>,
    /// None of these, 0 to 999.
    pub excluded_status_codes: Vec<i64>,
    /// Any of these.
    pub http_methods: Vec<String>,
    /// Any of these; the control plane of each has to be known.
    pub consumer_ids: Vec<ScopedId>,
    /// Any of these; the control plane of each has to be known.
    pub service_ids: Vec<ScopedId>,
    /// Any of these; the control plane of each has to be known.
    pub route_ids: Vec<ScopedId>,
    /// Status 200 to 299.
    pub success_only: Option<bool>,
    /// Status 400 and above.
    pub failure_only: Option<bool>,
    /// [`RESULTS`]; [`DEFAULT_RESULTS`] when it is `None`.
    pub max_results: Option<i64>,
}

/// A query that was checked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// One of [`TIME_RANGES`].
    pub time_range: &'static str,
    /// All of them hold.
    pub filters: Vec<Filter>,
    /// How many rows.
    pub size: u32,
}

/// One filter of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Filter {
    /// What it looks at.
    pub field: &'static str,
    /// How it compares.
    pub operator: &'static str,
    /// With what.
    pub value: Value,
}

impl Query {
    /// The body of the request: the newest rows first.
    pub fn body(&self) -> Value {
        json!({
            "time_range": { "type": "relative", "time_range": self.time_range },
            "filters": self.filters,
            "order": "descending",
            "size": self.size,
            "offset": 0,
        })
    }
}

/// Checks all arguments, also against each other.
///
/// # Errors
/// All arguments that cannot be used: ids whose control plane is not known, and what contradicts itself, such as
/// `successOnly` with `failureOnly`, or a status that is wanted and excluded.
pub fn query(input: &QueryInput) -> Result<Query, Vec<ArgumentFault>> {
    let mut faults = Vec::new();
    let time_range = TIME_RANGES.iter().find(|range| **range == input.time_range);
    if time_range.is_none() {
        let message = format!("is one of {}", TIME_RANGES.join(", "));
        faults.push(ArgumentFault::new("time_range", message));
    }
    let mut filters = Vec::new();
    statuses(input, &mut filters, &mut faults);
    outcome(input, &mut filters, &mut faults);
    methods(input, &mut filters, &mut faults);
    for (argument, field, ids) in [
        ("consumer_ids", "consumer", &input.consumer_ids),
        ("service_ids", "gateway_service", &input.service_ids),
        ("route_ids", "route", &input.route_ids),
    ] {
        scoped(argument, field, ids, &mut filters, &mut faults);
    }
    let size = match input.max_results {
        None => Some(DEFAULT_RESULTS),
        Some(given) => u32::try_from(given)
            .ok()
            .filter(|_| RESULTS.contains(&given)),
    };
    if size.is_none() {
        let message = format!("is {} to {}", RESULTS.start(), RESULTS.end());
        faults.push(ArgumentFault::new("max_results", message));
    }
    match (time_range, size) {
        (Some(time_range), Some(size)) if faults.is_empty() => Ok(Query {
            time_range,
            filters,
            size,
        }),
        _ => Err(faults),
    }
}

fn statuses(input: &QueryInput, filters: &mut Vec<Filter>, faults: &mut Vec<ArgumentFault>) {
    for (argument, operator, codes) in [
        ("status_codes", "in", &input.status_codes),
        (
            "excluded_status_codes",
            "not_in",
            &input.excluded_status_codes,
        ),
    ] {
        if codes.iter().any(|code| !(0..=999).contains(code)) {
            faults.push(ArgumentFault::new(argument, "are numbers from 0 to 999"));
        }
        few(argument, codes.len(), faults);
        if !codes.is_empty() {
            filters.push(Filter {
                field: "status_code",
                operator,
                value: json!(codes),
            });
        }
    }
    let both = |code: &&i64| input.excluded_status_codes.contains(code);
    if let Some(code) = input.status_codes.iter().find(both) {
        let message = format!("{code} is in status_codes too: leave it out of one of them");
        faults.push(ArgumentFault::new("excluded_status_codes", message));
    }
}

fn outcome(input: &QueryInput, filters: &mut Vec<Filter>, faults: &mut Vec<ArgumentFault>) {
    let (argument, groups, wanted): (_, &[&str], fn(&i64) -> bool) = match (
        input.success_only.unwrap_or_default(),
        input.failure_only.unwrap_or_default(),
    ) {
        (false, false) => return,
        (true, true) => {
            let message = "cannot be true together with successOnly: set one of them, or none";
            faults.push(ArgumentFault::new("failureOnly", message));
            return;
        }
        (true, false) => ("successOnly", &["2XX"], |code| (200..300).contains(code)),
        (false, true) => ("failureOnly", &["4XX", "5XX"], |code| *code >= 400),
    };
    if !input.status_codes.is_empty() && !input.status_codes.iter().all(wanted) {
        let message = "contradicts status_codes: set one of them";
        faults.push(ArgumentFault::new(argument, message));
    }
    filters.push(Filter {
        field: "status_code_grouped",
        operator: "in",
        value: json!(groups),
    });
}

fn methods(input: &QueryInput, filters: &mut Vec<Filter>, faults: &mut Vec<ArgumentFault>) {
    let methods: Vec<String> = input
        .http_methods
        .iter()
        .map(|method| method.to_ascii_uppercase())
        .collect();
    if methods.is_empty() {
        return;
    }
    few("http_methods", methods.len(), faults);
    if !methods
        .iter()
        .all(|method| METHODS.contains(&method.as_str()))
    {
        let message = format!("are of {}", METHODS.join(", "));
        faults.push(ArgumentFault::new("http_methods", message));
    }
    filters.push(Filter {
        field: "http_method",
        operator: "in",
        value: json!(methods),
    });
}

fn scoped(
    argument: &'static str,
    field: &'static str,
    ids: &[ScopedId],
    filters: &mut Vec<Filter>,
    faults: &mut Vec<ArgumentFault>,
) {
    if ids.is_empty() {
        return;
    }
    few(argument, ids.len(), faults);
    let scoped: Option<Vec<String>> = ids.iter().map(ScopedId::scoped).collect();
    if scoped.is_none() {
        let message = "the control plane of an id is not known: give it as <control_plane_id>:<id>";
        faults.push(ArgumentFault::new(argument, message));
    }
    filters.push(Filter {
        field,
        operator: "in",
        value: json!(scoped),
    });
}

fn few(argument: &'static str, values: usize, faults: &mut Vec<ArgumentFault>) {
    if values > MOST_VALUES {
        let message = format!("has more than {MOST_VALUES} values");
        faults.push(ArgumentFault::new(argument, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: &str = "0198aaaa-0000-7000-8000-00000000000a";
    const ID: &str = "0198bbbb-0000-7000-8000-00000000000b";

    fn input() -> QueryInput {
        QueryInput {
            time_range: "24H".to_owned(),
            ..QueryInput::default()
        }
    }

    #[test]
    fn a_query_with_everything() {
        let scoped = || vec![ScopedId::parse(&format!("{PLANE}:{ID}")).unwrap()];
        let query = query(&QueryInput {
            status_codes: vec![500, 502],
            excluded_status_codes: vec![504],
            http_methods: vec!["get".to_owned(), "POST".to_owned()],
            consumer_ids: scoped(),
            service_ids: scoped(),
            route_ids: scoped(),
            failure_only: Some(true),
            success_only: Some(false),
            max_results: Some(1000),
            ..input()
        })
        .unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&query.body()).unwrap());
    }

    #[test]
    fn a_query_with_nothing() {
        let query = query(&input()).unwrap();
        assert_eq!((query.filters.len(), query.size), (0, 100));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (set, argument) in [
            (
                (|i| (i.success_only, i.failure_only) = (Some(true), Some(true)))
                    as fn(&mut QueryInput),
                "failureOnly",
            ),
            (
                |i| (i.status_codes, i.excluded_status_codes) = (vec![200, 500], vec![500]),
                "excluded_status_codes",
            ),
            (
                |i| (i.status_codes, i.success_only) = (vec![200, 500], Some(true)),
                "successOnly",
            ),
            (
                |i| (i.status_codes, i.failure_only) = (vec![399], Some(true)),
                "failureOnly",
            ),
            (|i| i.status_codes = vec![1000], "status_codes"),
            (|i| i.status_codes = vec![-1], "status_codes"),
            (
                |i| i.excluded_status_codes = vec![1; 101],
                "excluded_status_codes",
            ),
            (|i| i.http_methods = vec!["GE T".to_owned()], "http_methods"),
            (|i| i.max_results = Some(0), "max_results"),
            (|i| i.max_results = Some(1001), "max_results"),
            (|i| i.time_range = "1h".to_owned(), "time_range"),
            (
                |i| i.route_ids = vec![ScopedId::parse(ID).unwrap()],
                "route_ids",
            ),
        ] {
            let mut input = input();
            set(&mut input);
            let faults = query(&input).unwrap_err();
            let names: Vec<_> = faults.iter().map(|fault| fault.argument).collect();
            assert_eq!(names, [argument]);
        }
    }
}
