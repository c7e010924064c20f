//! The output of `provision`.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::{KEY, KEY_ID};
use crate::context::Context;

/// The change of the bucket or the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ResourceChange {
    Created,
    Updated,
    Unchanged,
    WouldCreate,
    WouldUpdate,
}

impl ResourceChange {
    fn label(self) -> &'static str {
        match self {
            ResourceChange::Created => "created",
            ResourceChange::Updated => "updated",
            ResourceChange::Unchanged => "exists, unchanged",
            ResourceChange::WouldCreate => "would be created",
            ResourceChange::WouldUpdate => "would be updated",
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ProvisionReport {
    pub(super) bucket: BucketReport,
    pub(super) key: KeyReport,
    pub(super) endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct BucketReport {
    pub(super) name: String,
    pub(super) visibility: String,
    pub(super) change: ResourceChange,
}

#[derive(Debug, Serialize)]
pub(super) struct KeyReport {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// The key itself, only when it was created and no file was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    pub(super) change: ResourceChange,
}

pub(super) fn text(report: &ProvisionReport) -> String {
    let mut lines = vec![
        format!(
            "bucket    {} ({}), {}",
            report.bucket.name,
            report.bucket.visibility,
            report.bucket.change.label()
        ),
        format!(
            "key       {}{}, {}",
            report.key.name,
            report
                .key
                .id
                .as_deref()
                .map(|id| format!(" ({id}), restricted to this bucket"))
                .unwrap_or_default(),
            report.key.change.label()
        ),
        format!("endpoint  {}", report.endpoint),
    ];
    if let Some(file) = &report.key.file {
        lines.push(format!("key file  {}", file.display()));
    }
    if let (Some(id), Some(key)) = (&report.key.id, &report.key.key) {
        lines.push(String::new());
        lines.push(format!("{KEY_ID}={id}"));
        lines.push(format!("{KEY}={key}"));
    }
    lines.join("\n")
}

pub(super) fn advise(report: &ProvisionReport, context: &Context) {
    let ui = &context.ui;
    for warning in &report.warnings {
        ui.say(format!("warning: {warning}"));
    }
    if report.key.change == ResourceChange::WouldCreate {
        ui.say("\nnothing was created: this was a dry run");
        return;
    }
    if report.key.key.is_some() {
        ui.say("\nthe key is shown only now: put the two lines above into a file of mode 0600");
    }
    let file = report
        .key
        .file
        .as_ref()
        .map_or_else(|| "KEY-FILE".to_owned(), |f| f.display().to_string());
    let (bucket, endpoint) = (&report.bucket.name, &report.endpoint);
    ui.say(format!(
        "\nnext, without the master key:\n  unset {KEY_ID} {KEY}\n  medialift check --bucket {bucket} --endpoint {endpoint} --key-file {file}\n  medialift plan MEDIA-DIRECTORY"
    ));
}
