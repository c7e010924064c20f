//! The record that nextest leaves: how many tests there were, and how long each took.

use anyhow::{Context, Result};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::Count;

/// Counts the tests, and gives their names and seconds, the slowest first.
///
/// # Errors
/// Fails where it is no JUnit XML.
pub(super) fn read(text: &str) -> Result<(Count, Vec<(String, f64)>)> {
    let mut reader = Reader::from_str(text);
    let mut count = Count::default();
    let mut times = Vec::new();
    loop {
        let event = reader.read_event().context("the record of the tests")?;
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            if matches!(event, Event::Eof) {
                break;
            }
            continue;
        };
        match tag.name().as_ref() {
            "testcase" => {
                count.passed += 1;
                let attribute = |name: &str| -> Result<String> {
                    let found = tag.try_get_attribute(name)?.context("an attribute")?;
                    Ok(found.value.into_owned())
                };
                let name = format!("{} {}", attribute("classname")?, attribute("name")?);
                times.push((name, attribute("time")?.parse().context("a time")?));
            }
            // Within its test case.
            "failure" | "error" => {
                count.passed -= 1;
                count.failed += 1;
            }
            "skipped" => {
                count.passed -= 1;
                count.ignored += 1;
            }
            _ => {}
        }
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
}
