//! The result of a single check, as `check` and `verify` report it.

use std::fmt::Write;

use serde::Serialize;

use crate::exit::Exit;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// No problem.
    Passed,
    /// A problem; the migration must not continue.
    Failed,
    /// A problem; the migration may continue.
    Warned,
    /// Not checked; the detail says why.
    Skipped,
}

impl CheckOutcome {
    fn label(self) -> &'static str {
        match self {
            CheckOutcome::Passed => "ok",
            CheckOutcome::Failed => "FAILED",
            CheckOutcome::Warned => "warning",
            CheckOutcome::Skipped => "skipped",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A short, stable name: `master-key`.
    pub check: &'static str,
    /// The outcome.
    pub outcome: CheckOutcome,
    /// What was found, in one line.
    pub detail: String,
    /// What to do, where it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A check without a problem.
    pub fn passed(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding::of(check, CheckOutcome::Passed, detail, None)
    }

    /// A problem that stops the migration.
    pub fn failed(
        check: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding::of(check, CheckOutcome::Failed, detail, Some(hint.into()))
    }

    /// A problem that does not stop the migration.
    pub fn warned(
        check: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding::of(check, CheckOutcome::Warned, detail, Some(hint.into()))
    }

    /// A check that was not made.
    pub fn skipped(check: &'static str, detail: impl Into<String>) -> Finding {
        Finding::of(check, CheckOutcome::Skipped, detail, None)
    }

    fn of(
        check: &'static str,
        outcome: CheckOutcome,
        detail: impl Into<String>,
        hint: Option<String>,
    ) -> Finding {
        Finding {
            check,
            outcome,
            detail: detail.into(),
            hint,
        }
    }
}

/// [`Exit::Problem`] where any check failed.
pub fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|f| f.outcome == CheckOutcome::Failed) {
        Exit::Problem
    } else {
        Exit::Done
    }
}

/// One line for each check; below it, indented, its hint.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (label, check) = (finding.outcome.label(), finding.check);
        let _ = writeln!(text, "{label:<8} {check:<width$}  {}", finding.detail);
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "{:<8} {:<width$}  hint: {hint}", "", "");
        }
    }
    text
}

/// `12 checks: 11 ok, 1 failed`.
pub fn summary(findings: &[Finding]) -> String {
    let count = |outcome| findings.iter().filter(|f| f.outcome == outcome).count();
    let mut text = format!(
        "{} checks: {} ok",
        findings.len(),
        count(CheckOutcome::Passed)
    );
    for (outcome, label) in [
        (CheckOutcome::Failed, "failed"),
        (CheckOutcome::Warned, "with a warning"),
        (CheckOutcome::Skipped, "skipped"),
    ] {
        if count(outcome) > 0 {
            let _ = write!(text, ", {} {label}", count(outcome));
        }
    }
    text
}
