use proptest::prelude::*;

use super::*;

fn sample_families() -> Families {
    let mut families = Families::default();
    families
        .counter("x_seen_total", "What was \"seen\",\nby \\ whom.")
        .add(&[("who", "b"), ("how", "a\"b\\c\nd")], 2)
        .add(&[("how", "a\"b\\c\nd"), ("who", "b")], 3)
        .add(&[], 1);
    families.gauge("x_level", "How high.").set(&[], 1.5);
    families.histogram("x_seconds", "How long.").add(
        &[("who", "b")],
        Spread::new([(0.5, 1), (1.0, 0), (2.5, 3)], 1, 12.25),
    );
    families.counter("x_never_total", "What never happens.");
    families
}

#[test]
fn prometheus_text() {
    insta::assert_snapshot!(sample_families().render(Format::Prometheus));
}

#[test]
fn openmetrics_text() {
    insta::assert_snapshot!(sample_families().render(Format::OpenMetrics));
}

#[test]
fn what_is_no_name_or_of_another_kind_is_left_out() {
    let mut families = Families::default();
    families.counter("x", "No suffix.").add(&[], 1);
    families
        .counter("_total", "Nothing but a suffix.")
        .add(&[], 1);
    families.gauge("x_total", "A suffix.").set(&[], 1.0);
    families.gauge("x y", "A blank.").set(&[], 1.0);
    families.gauge("1x", "A digit.").set(&[], 1.0);
    families.gauge("", "Nothing.").set(&[], 1.0);
    assert_eq!(families.render(Format::Prometheus), "");
    families.gauge("x", "X.").set(&[("a", "1")], 1.0);
    families
        .gauge("x", "X.")
        .set(&[("a", "1"), ("a", "2")], 2.0)
        .set(&[("a b", "1")], 3.0)
        .set(&[("__a", "1")], 4.0);
    let spread = Spread::new([(1.0, 1)], 0, 1.0);
    families.histogram("x", "X.").add(&[], spread.clone());
    families
        .histogram("y", "Y.")
        .add(&[("le", "1")], spread.clone())
        .add(&[], spread)
        .add(&[], Spread::new([(2.0, 1)], 0, 1.0));
    insta::assert_snapshot!(families.render(Format::Prometheus), @r#"
    # HELP x X.
    # TYPE x gauge
    x{a="1"} 1.0
    # HELP y Y.
    # TYPE y histogram
    y_bucket{le="1.0"} 1
    y_bucket{le="+Inf"} 1
    y_count 1
    y_sum 1.0
    "#);
}

#[test]
fn sources_of_one_family_are_told_once() {
    let mut families = Families::default();
    for level in [1.0, 2.0] {
        families.gauge("x", "X.").set(&[], level);
        families.counter("x_total", "X.").add(&[], 1);
        let spread = Spread::new([(1.0, 1)], 2, 0.5);
        families.histogram("x_seconds", "X.").add(&[], spread);
    }
    insta::assert_snapshot!(families.render(Format::Prometheus), @r#"
    # HELP x X.
    # TYPE x gauge
    x 2.0
    # HELP x_seconds X.
    # TYPE x_seconds histogram
    x_seconds_bucket{le="1.0"} 2
    x_seconds_bucket{le="+Inf"} 6
    x_seconds_count 6
    x_seconds_sum 1.0
    # HELP x_total X.
    # TYPE x_total counter
    x_total 2
    "#);
}

#[test]
fn openmetrics_is_for_those_who_ask_for_it() {
    // What Prometheus 2 and 3 send, and browsers, and curl.
    for (accept, format) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        ),
        (
            "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
            Format::Prometheus,
        ),
        ("application/openmetrics-text", Format::OpenMetrics),
        (
            "Application/OpenMetrics-Text; version=\"1.0.0\"",
            Format::OpenMetrics,
        ),
        ("application/openmetrics-text;q=0", Format::Prometheus),
        ("application/openmetrics-text;q=NaN", Format::Prometheus),
        ("application/openmetrics-text;q=x", Format::Prometheus),
        (
            "application/openmetrics-text;version=0.0.1",
            Format::Prometheus,
        ),
        (
            "application/openmetrics-text;version=2.0.0",
            Format::Prometheus,
        ),
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            Format::Prometheus,
        ),
        ("*/*", Format::Prometheus),
        ("", Format::Prometheus),
    ] {
        assert_eq!(Format::of_accept(accept), format, "{accept}");
    }
}

proptest! {
    /// Whatever a label says, it is one line, and says the same once it is read, except for control
    /// characters.
    #[test]
    fn any_text_is_a_label(value in any::<String>()) {
        let mut families = Families::default();
        families.gauge("x", "X.").set(&[("a", &value)], 1.0);
        let text = families.render(Format::Prometheus);
        let lines: Vec<_> = text.split('\n').collect();
        prop_assert_eq!(lines.len(), 4);
        let inside = lines[2].strip_prefix("x{a=\"").unwrap().strip_suffix("\"} 1.0").unwrap();
        let mut read = String::new();
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            prop_assert!(!c.is_control() && c != '"');
            read.push(if c == '\\' { chars.next().unwrap() } else { c });
        }
        let expected: String = value
            .chars()
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_accept_is_read(accept in any::<String>()) {
        let _ = Format::of_accept(&accept);
    }
}
