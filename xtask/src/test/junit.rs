//! The record that nextest leaves: how many tests there were, and how long each took.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Count, parse_result};

#[derive(Deserialize)]
struct Record {
    #[serde(default, rename = "testsuite")]
    suites: Vec<Suite>,
}

#[derive(Deserialize)]
struct Suite {
    #[serde(default, rename = "testcase")]
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "@classname")]
    suite: String,
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@time")]
    seconds: f64,
    failure: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
    skipped: Option<IgnoredAny>,
    #[serde(default, rename = "system-out")]
    output: String,
}

impl Test {
    fn count(&self) -> Count {
        if self.skipped.is_some() {
            return Count {
                ignored: 1,
                ..Count::default()
            };
        }
        // A comparison prints how many tests it is.
        let summary = self.output.lines().find_map(parse_result);
        let has_failed = self.failure.is_some() || self.error.is_some();
        let one = Count {
            passed: 1,
            ..Count::default()
        };
        let mut count = summary.unwrap_or(one);
        if has_failed && count.failed == 0 {
            count = Count {
                passed: count.passed.saturating_sub(1),
                failed: 1,
                ..count
            };
        }
        count
    }
}

/// Counts the tests, and gives their names and seconds, the slowest first.
///
/// # Errors
/// Fails where it is no JUnit XML.
pub(super) fn read(text: &str) -> Result<(Count, Vec<(String, f64)>)> {
    let record: Record = quick_xml::de::from_str(text).context("the record of the tests")?;
    let mut count = Count::default();
    let mut times = Vec::new();
    for test in record.suites.into_iter().flat_map(|suite| suite.tests) {
        count += test.count();
        times.push((format!("{} {}", test.suite, test.name), test.seconds));
    }
    times.sort_by(|(_, a), (_, b)| f64::total_cmp(b, a));
    Ok((count, times))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn tests_are_counted_and_the_slowest_comes_first() {
        let text = r#"<?xml version="1.0"?><testsuites tests="3" failures="1" errors="0">
            <testsuite name="e2e::sync" tests="3" failures="1">
                <testcase name="quick" classname="e2e::sync" time="0.5"/>
                <testcase name="slow" classname="e2e::sync" time="61.25"><system-out>x</system-out></testcase>
                <testcase name="bad" classname="e2e::sync" time="2">
                    <failure type="test failure">panicked</failure>
                </testcase>
            </testsuite></testsuites>"#;
        let (count, times) = read(text).unwrap();
        assert_eq!((count.passed, count.failed, count.ignored), (2, 1, 0));
        assert_eq!(times[0], ("e2e::sync slow".to_owned(), 61.25));
        assert_eq!(times.len(), 3);
        assert!(read("<testcase").is_err());
    }

    #[test]
    fn the_scenarios_of_a_comparison_are_tests() {
        let text = r#"<testsuites><testsuite name="e2e::nginx"><testcase name="by the bucket" classname="e2e::nginx" time="9">
            <failure type="test failure">exit code 101</failure>
            <system-out>....&#10;test result: FAILED. 376 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out&#10;</system-out>
            </testcase></testsuite></testsuites>"#;
        let (count, _) = read(text).unwrap();
        assert_eq!((count.passed, count.failed, count.ignored), (376, 2, 0));
    }
}
