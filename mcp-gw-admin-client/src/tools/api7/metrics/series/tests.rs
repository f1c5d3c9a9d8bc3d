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
fn one_odd_sample_or_a_flood_of_labels_costs_nothing_else() {
    let labels: BTreeMap<String, String> = (0..5000)
        .map(|n| (format!("l{n:04}"), "x".to_owned()))
        .collect();
    let body = json!({"status": "success", "data": {"result": [
        {"metric": labels, "values": [[1, null], null, [2, "3"], [3, 4.5]]},
        {"metric": {}, "value": null},
    ]}});
    let series = read(&raw(&body)).unwrap().series;
    assert_eq!(series[0].labels.len(), MOST_LABELS + 1);
    assert_eq!(series[0].labels["[cut]"], "4968 more labels");
    assert!(series[0].points[0].1.is_nan());
    assert_eq!(series[0].points[1..], [Point(2.0, 3.0), Point(3.0, 4.5)]);
    assert_eq!(series[1].points, []);
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
