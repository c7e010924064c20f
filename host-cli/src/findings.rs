//! What a check found: one line a check, and the mend where it failed. `check` and `verify` both
//! speak in these.

use std::fmt::Write;

use serde::Serialize;

use crate::exit::Exit;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not as it should be, and the migration must not go on.
    Failed,
    /// Not as it should be, and the migration may go on.
    Warned,
    /// It could not be looked at; the detail says why.
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Warned => "warning",
            Outcome::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A short, stable name: `master-key`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen, in one line.
    pub detail: String,
    /// What to do about it, where it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn passed(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding::of(check, Outcome::Passed, detail, None)
    }

    /// It is not, and `mend` says what to do.
    pub fn failed(
        check: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::of(check, Outcome::Failed, detail, Some(mend.into()))
    }

    /// It could be better.
    pub fn warned(
        check: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::of(check, Outcome::Warned, detail, Some(mend.into()))
    }

    /// It could not be looked at.
    pub fn skipped(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding::of(check, Outcome::Skipped, detail, None)
    }

    fn of(
        check: &'static str,
        outcome: Outcome,
        detail: impl Into<String>,
        mend: Option<String>,
    ) -> Finding {
        Finding {
            check,
            outcome,
            detail: detail.into(),
            mend,
        }
    }
}

/// [`Exit::Problem`] when any failed.
pub fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|f| f.outcome == Outcome::Failed) {
        Exit::Problem
    } else {
        Exit::Done
    }
}

/// One line a check; under it, indented, the mend.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (word, check) = (finding.outcome.word(), finding.check);
        let _ = writeln!(text, "{word:<8} {check:<width$}  {}", finding.detail);
        if let Some(mend) = &finding.mend {
            let _ = writeln!(text, "{:<8} {:<width$}  mend: {mend}", "", "");
        }
    }
    text
}

/// `12 checks: 11 ok, 1 failed`.
pub fn summary(findings: &[Finding]) -> String {
    let count = |outcome| findings.iter().filter(|f| f.outcome == outcome).count();
    let mut text = format!("{} checks: {} ok", findings.len(), count(Outcome::Passed));
    for (outcome, words) in [
        (Outcome::Failed, "failed"),
        (Outcome::Warned, "with a warning"),
        (Outcome::Skipped, "skipped"),
    ] {
        if count(outcome) > 0 {
            let _ = write!(text, ", {} {words}", count(outcome));
        }
    }
    text
}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let _ = write!(text, ": {source}");
        cause = source.source();
    }
    text
}
