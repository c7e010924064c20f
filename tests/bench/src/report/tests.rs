//! That figures are shown and judged as they should be.

use super::*;

#[track_caller]
fn check(value: f64, expected: &str) {
    assert_eq!(figure(value), expected);
}

#[test]
fn three_digits_count_and_no_more_are_shown_than_are_needed() {
    check(0.0, "0");
    check(0.000_4, "0.0004");
    check(0.012_34, "0.0123");
    check(0.5, "0.5");
    check(0.123_45, "0.123");
    check(1.0, "1");
    check(1.234, "1.23");
    check(12.34, "12.3");
    check(99.96, "100");
    check(123.4, "123");
    check(999.0, "999");
    check(-2.5, "-2.5");
}

#[test]
fn the_thousands_of_long_numbers_are_set_apart() {
    check(1_234.0, "1,234");
    check(10_000.0, "10,000");
    check(963_021.0, "963,021");
    check(1_000_000.4, "1,000,000");
    check(-12_345.0, "-12,345");
}

#[test]
fn what_is_no_number_is_shown_as_such() {
    check(f64::NAN, "NaN");
    check(f64::INFINITY, "inf");
}

#[test]
fn the_median_is_the_middle_or_the_mean_of_the_middle_two() {
    assert!(median(&[]).is_nan());
    assert_eq!(median(&[3.0]), 3.0);
    assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
}

#[test]
fn rounds_gather_under_their_case_contender_and_quantity() {
    let mut report = Report::default();
    for (who, value) in [("a", 1.0), ("b", 5.0), ("a", 3.0)] {
        report.add("hit", who, "wall, s", value);
    }
    assert_eq!(report.series.len(), 2);
    assert_eq!(report.series[0].rounds, [1.0, 3.0]);
    assert_eq!(report.median("hit", "a", "wall, s"), 2.0);
    assert!(report.median("miss", "a", "wall, s").is_nan());
}

#[test]
fn a_bound_is_reached_at_its_edge_and_never_by_what_is_no_number() {
    assert!(Target::at_most("a", 1.0, 1.0).is_reached());
    assert!(!Target::at_most("a", 1.001, 1.0).is_reached());
    assert!(Target::at_least("a", 0.9, 0.9).is_reached());
    assert!(!Target::at_least("a", 0.899, 0.9).is_reached());
    assert!(!Target::at_most("a", f64::NAN, 1.0).is_reached());
    assert!(!Target::at_least("a", f64::NAN, 1.0).is_reached());
}

#[test]
fn a_target_says_what_was_measured_and_what_was_wanted() {
    assert_eq!(
        Target::at_most("hit: CPU", 1.25, 1.0).to_string(),
        "MISSED   hit: CPU: 1.25 (≤ 1)"
    );
    assert_eq!(
        Target::at_least("copy", 0.95, 0.9).to_string(),
        "reached  copy: 0.95 (≥ 0.9)"
    );
}

#[test]
fn what_is_kept_is_read_back() {
    let mut report = Report::default();
    report.notes.push("How.".to_owned());
    report.add("hit", "a", "wall, s", 1.5);
    report.targets.push(Target::at_least("b", 2.0, 1.0));
    let text = serde_json::to_string(&report).unwrap();
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}
