//! Scenarios as they stand in `tests/scenarios/*.toml`.
//!
//! A scenario owns one folder of the bucket, so that all of them can run at the same time. It says
//! what the origin answers and what is asked; it does not say what should come back, because a model
//! says that, nginx or the worker. Where a model is not followed is left to [`super::deviation`].

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::scripted::{Answer, Script};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    /// Which directive or question the file is about; for readers alone.
    #[serde(rename = "about")]
    _about: String,
    /// Of all its scenarios that name no other.
    #[serde(default)]
    model: Model,
    scenario: Vec<ScenarioText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioText {
    name: String,
    #[serde(default)]
    origin: BTreeMap<String, OneOrMany>,
    steps: Vec<StepText>,
    #[serde(default)]
    outlasts_the_origin: bool,
    model: Option<Model>,
}

/// Which nginx a scenario's answers are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Model {
    /// `tests/nginx/corrected.conf`.
    #[default]
    #[serde(rename = "corrected")]
    Corrected,
    /// `tests/nginx/files.conf`: the configuration that the worker replaces.
    #[serde(rename = "as found")]
    AsFound,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Answer>),
    Many(Vec<Answer>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StepText {
    Line(String),
    Full(Step),
}

/// One scenario, ready to run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// `file/name`, by which deviations know it.
    pub id: String,
    /// The folder of the bucket that is this scenario's own.
    pub folder: String,
    /// What the origin answers, by whole key.
    pub script: Script,
    /// What is asked, in order.
    pub steps: Vec<Step>,
    /// The last request takes a minute and needs no other of the origin: the origin may be stopped
    /// meanwhile, which saves that minute.
    pub outlasts_the_origin: bool,
    /// The nginx that is asked.
    pub model: Model,
}

/// One question, put once or by many readers at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `METHOD target`. A target that does not begin with `/` or `http://` is in the scenario's
    /// folder; in the others `{folder}` stands for it. Sent byte by byte as it is written.
    #[serde(default)]
    pub request: String,
    /// `Name: value` lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Seconds before the request.
    #[serde(default)]
    pub pause: f64,
    /// How many readers ask at once.
    #[serde(default = "one")]
    pub readers: usize,
    /// Seconds between the starts of two readers.
    #[serde(default)]
    pub stagger: f64,
    /// The reader goes away after that many bytes of the body.
    pub leave_after: Option<usize>,
    /// Stops the origin for good, after all scenarios without such a step have ended, and asks
    /// nothing.
    #[serde(default)]
    pub stop_origin: bool,
    /// The body of the request.
    #[serde(default)]
    pub body: String,
    /// Another request, begun 0.2 seconds before and awaited after; both sides must answer it 200.
    pub beside: Option<String>,
    /// Both sides must give all readers their answers within so many seconds.
    pub within: Option<f64>,
}

/// From so many readers at once on, they are a crowd.
const CROWD: usize = 10;

/// From so many bytes on, a body keeps the machine busy.
const LARGE: usize = 10_000_000;

const fn one() -> usize {
    1
}

impl Scenario {
    /// The method and the target of a request as they go out.
    pub fn request_line<'a>(&self, request: &'a str) -> (&'a str, String) {
        let (method, target) = request.split_once(' ').unwrap_or((request, ""));
        let target = match target.starts_with('/') || target.starts_with("http://") {
            true => target.replace("{folder}", &self.folder),
            false => format!("/{}/{target}", self.folder),
        };
        (method, target)
    }

    /// Whether seconds decide what comes back, so that a busy machine can spoil it.
    pub fn waits(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.pause > 0.0 || step.stagger > 0.0 || step.within.is_some())
            || self
                .script
                .values()
                .flatten()
                .any(|answer| answer.delay > 0.0 || answer.pause > 0.0)
    }

    /// Whether so many readers ask at once, or for so much, that nothing else should go on.
    pub fn needs_the_machine(&self) -> bool {
        let sizes = self.script.values().flatten().map(|answer| answer.size);
        self.steps.iter().any(|step| step.readers >= CROWD)
            || sizes.flatten().any(|size| size >= LARGE)
    }

    /// Whether the scenario needs the origin stopped in its course.
    pub fn stops_origin(&self) -> bool {
        self.steps.iter().any(|step| step.stop_origin)
    }
}

/// Reads every scenario file of a folder, in the order of their names.
///
/// # Errors
/// A file that cannot be read or says something unknown; two scenarios of one name; a step without
/// a request.
pub fn load(folder: &Path) -> Result<Vec<Scenario>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("read `{}`", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
            && path
                .file_stem()
                .is_some_and(|stem| !stem.to_string_lossy().starts_with("deviations"))
    });
    files.sort();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let found =
            parse(&stem, &text).with_context(|| format!("scenarios in `{}`", path.display()))?;
        for scenario in found {
            ensure!(
                scenarios.iter().all(|other| other.id != scenario.id),
                "two scenarios are called `{}`",
                scenario.id
            );
            scenarios.push(scenario);
        }
    }
    Ok(scenarios)
}

/// The scenarios of one file; `stem` is the file's name without its ending.
///
/// # Errors
/// As [`load`].
pub fn parse(stem: &str, text: &str) -> Result<Vec<Scenario>> {
    let file: ScenarioFile = toml::from_str(text)?;
    file.scenario
        .into_iter()
        .zip(1..)
        .map(|(scenario, number)| resolve(stem, number, file.model, scenario))
        .collect()
}

fn resolve(stem: &str, number: usize, model: Model, text: ScenarioText) -> Result<Scenario> {
    let folder = format!("{stem}-{number:02}");
    let mut origin = text.origin;
    if origin.is_empty() {
        origin.insert("a.jpg".to_owned(), OneOrMany::Many(vec![Answer::default()]));
    }
    let script = origin
        .into_iter()
        .map(|(key, answers)| {
            let key = key
                .strip_prefix('/')
                .map_or_else(|| format!("{folder}/{key}"), str::to_owned);
            let answers = match answers {
                OneOrMany::One(answer) => vec![*answer],
                OneOrMany::Many(answers) => answers,
            };
            (key, answers)
        })
        .collect();
    let steps: Vec<_> = text
        .steps
        .into_iter()
        .map(|step| match step {
            StepText::Full(step) => step,
            StepText::Line(request) => Step {
                request,
                ..Step::default()
            },
        })
        .collect();
    for step in &steps {
        ensure!(
            step.stop_origin || step.request.contains(' '),
            "`{}`: a step asks nothing",
            text.name
        );
    }
    Ok(Scenario {
        id: format!("{stem}/{}", text.name),
        folder,
        script,
        steps,
        outlasts_the_origin: text.outlasts_the_origin,
        model: text.model.unwrap_or(model),
    })
}

impl Default for Step {
    fn default() -> Self {
        Self {
            request: String::new(),
            headers: Vec::new(),
            pause: 0.0,
            readers: 1,
            stagger: 0.0,
            leave_after: None,
            stop_origin: false,
            body: String::new(),
            beside: None,
            within: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_targets_are_in_the_scenarios_own_folder() {
        let text = r#"
            about = "x"
            [[scenario]]
            name = "n"
            origin = { "b.jpg" = { status = 404 }, "/index.html" = [{}, { status = 503 }] }
            steps = ["GET b.jpg", { request = "HEAD //{folder}//b.jpg?x=1", pause = 0.5 }]
        "#;
        let scenario = parse("range", text).unwrap().remove(0);
        assert_eq!(scenario.id, "range/n");
        assert_eq!(
            scenario.script.keys().collect::<Vec<_>>(),
            ["index.html", "range-01/b.jpg"]
        );
        assert_eq!(
            scenario.request_line(&scenario.steps[0].request),
            ("GET", "/range-01/b.jpg".to_owned())
        );
        assert_eq!(
            scenario.request_line(&scenario.steps[1].request),
            ("HEAD", "//range-01//b.jpg?x=1".to_owned())
        );
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = "about = \"x\"\n[[scenario]]\nname = \"n\"\nsteps = [{ request = \"GET a\", reader = 2 }]";
        assert!(parse("path", text).is_err());
    }
}
