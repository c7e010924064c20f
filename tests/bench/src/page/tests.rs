//! That the page says what the reports say, and that a check finds what is not up to date.

use super::super::report::Target;
use super::*;

const RUN: &str =
    r#"{ "commit": "7d1e6f134b", "date": "2026-11-30", "versions": [["system", "Linux x86_64"]] }"#;

fn report() -> Report {
    let mut report = Report {
        processors: 2,
        run: serde_json::from_str(RUN).unwrap(),
        ..Report::default()
    };
    report.notes.push("How it was measured.".to_owned());
    for (case, who, quantity, value) in [
        ("hit", "worker", "requests/s", 1_000.0),
        ("hit", "worker", "requests/s", 1_200.0),
        ("hit", "worker", "requests/s", 1_100.0),
        ("hit", "worker", "p50, ms", 2.5),
        ("hit", "nginx", "requests/s", 20_000.0),
        ("miss", "worker", "requests/s", 500.0),
        ("miss", "worker", "p50, ms", 10.0),
        ("memory", "worker", "MiB", 100.0),
    ] {
        report.add(case, who, quantity, value);
    }
    report.targets = vec![
        Target::at_most("hit: ratio", 0.5, 1.0),
        Target::at_least("miss: ratio", 0.5, 0.9),
    ];
    report
}

/// A page and its files, as `cargo xtask bench` leaves them.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.directory()).unwrap();
        place
    }

    fn with_reports() -> Self {
        let place = Self::new();
        let text = serde_json::to_string(&report()).unwrap();
        for part in Part::ALL {
            fs::write(place.file(part), &text).unwrap();
        }
        place
    }

    fn file(&self, part: Part) -> std::path::PathBuf {
        self.directory().join(format!("{}.json", part.name()))
    }

    fn page(&self) -> std::path::PathBuf {
        self.0.path().join("performance.md")
    }

    fn directory(&self) -> std::path::PathBuf {
        self.0.path().join("performance")
    }

    fn write(&self, check: bool) -> Result<()> {
        write_at(&self.page(), &self.directory(), check)
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let error = self.write(true).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_chapter_has_its_notes_targets_and_tables() {
    let page = page(&[(Part::Crowd, report())]).unwrap();
    let chapter = page.strip_prefix(INTRODUCTION).unwrap();
    assert_eq!(
        chapter,
        "
## Under load, beside nginx

`cargo xtask bench crowd`, on a machine with 2 processors

Commit `7d1e6f134b`, 2026-11-30, Linux x86_64

How it was measured.

| target | bound | measured | |
|---|---|---|---|
| hit: ratio | ≤ 1 | 0.5 | reached |
| miss: ratio | ≥ 0.9 | 0.5 | **missed** |

| case | who | requests/s | p50, ms |
|---|---|---:|---:|
| hit | worker | 1,100 (1,000–1,200, 3) | 2.5 |
|  | nginx | 20,000 | |
| miss | worker | 500 | 10 |

| case | who | MiB |
|---|---|---:|
| memory | worker | 100 |
"
    );
}

#[test]
fn what_was_written_passes_the_check() {
    let place = Place::with_reports();
    place.write(false).unwrap();
    place.write(true).unwrap();
}

#[test]
fn an_edited_page_does_not_pass() {
    let place = Place::with_reports();
    place.write(false).unwrap();
    let page = fs::read_to_string(place.page()).unwrap();
    fs::write(place.page(), page.replace("**missed**", "reached")).unwrap();
    place.refused("is not what its raw rounds say");
}

#[test]
fn a_page_that_is_missing_does_not_pass() {
    let place = Place::with_reports();
    place.write(false).unwrap();
    fs::remove_file(place.page()).unwrap();
    place.refused("is not what its raw rounds say");
}

#[test]
fn a_part_that_is_missing_does_not_pass() {
    for part in Part::ALL {
        let place = Place::with_reports();
        fs::remove_file(place.file(part)).unwrap();
        place.write(false).unwrap();
        place.refused(&format!("/{}.json` is missing", part.name()));
    }
}

#[test]
fn where_nothing_was_measured_nothing_is_written() {
    let place = Place::new();
    place.write(false).unwrap();
    assert!(!place.page().exists());
    place.refused("is missing");
}
