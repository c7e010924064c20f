//! A comparison as a suite of tests: one test for each scenario, and one for what counts over all.
//!
//! Both sides are started once for all tests that run, so this is a program of its own
//! (`harness = false`) with the flags of any other suite. nextest, which runs each test in a process of its
//! own, is shown each comparison as one test, whose output counts the scenarios.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};

use super::Rule;
use super::deviation::{self, Deviation, Used};
use super::judge::{Verdict, judge};
use super::runner::{Observed, Pace, Stack, observe};
use super::scenario::{self, Scenario};
use crate::scripted::{ScriptedOrigin, Side};

/// Two sides that are compared.
pub struct Sides {
    /// What they are called in the output.
    pub name: &'static str,
    /// Starts both in front of an origin.
    pub start: fn(&ScriptedOrigin, Rule) -> Result<Stack>,
    /// The file of accepted differences, in `tests/scenarios`.
    pub deviations: &'static str,
    /// Choices of the product that stand in the model: they count as accepted differences do.
    pub choices: Vec<String>,
    /// How many of both there may be, where the product is held to a number.
    pub most_choices: Option<usize>,
}

/// What two sides are asked by one rule.
pub struct Comparison {
    /// Who says how long a copy is fresh.
    pub rule: Rule,
    /// What is asked.
    pub scenarios: Vec<Scenario>,
    /// What the comparison must not shrink below unnoticed.
    pub fewest: usize,
    /// Whether all scenarios are asked, so that every accepted difference must occur.
    pub is_whole: bool,
}

/// Of the scenarios in which seconds count, so many in a hundred may be put a second time.
const REPEATED_PERCENT: usize = 2;

/// The test of what counts over all scenarios.
const ALL: &str = "all: accepted differences occur, repetitions are few";

/// Runs the tests that the command line asks for.
#[must_use]
pub fn main(sides: &Sides, comparisons: &[Comparison]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let mut chosen: Vec<_> = comparisons.iter().zip(limits(comparisons)).collect();
    if std::env::var_os("NEXTEST").is_some() {
        if arguments.list {
            let names = comparisons.iter().map(|one| sides.name_by(one.rule));
            let trials = names.map(|name| Trial::test(name, || Ok(()))).collect();
            return libtest_mimic::run(&arguments, trials).exit_code();
        }
        chosen.retain(|(one, _)| arguments.filter.as_deref() == Some(&sides.name_by(one.rule)));
        arguments = Arguments::default();
        arguments.quiet = true;
    }
    let trials = chosen
        .into_iter()
        .map(|(comparison, limit)| comparison.trials(sides, limit, &arguments))
        .collect::<Result<Vec<_>>>();
    match trials {
        Ok(trials) => {
            libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// How many scenarios of each comparison may be put a second time: of all that a program asks, no more than
/// [`REPEATED_PERCENT`] together.
fn limits(comparisons: &[Comparison]) -> Vec<usize> {
    let (mut waiting, mut given) = (0, 0);
    let limit = |comparison: &Comparison| {
        let of_one = comparison.scenarios.iter().filter(|one| one.waits());
        waiting += of_one.count();
        let limit = waiting * REPEATED_PERCENT / 100 - given;
        given += limit;
        limit
    };
    comparisons.iter().map(limit).collect()
}

fn is_selected(arguments: &Arguments, name: &str) -> bool {
    let matches = |text: &String| match arguments.exact {
        true => name == text,
        false => name.contains(text),
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

impl Sides {
    /// What the comparison by that rule is called.
    fn name_by(&self, rule: Rule) -> String {
        format!("{}, {}", self.name, rule.text())
    }
}

impl Comparison {
    /// Its tests, with their verdicts already found where they are to run.
    fn trials(&self, sides: &Sides, limit: usize, arguments: &Arguments) -> Result<Vec<Trial>> {
        let name = |id: &str| format!("{}{id}", self.rule.prefix());
        let all = is_selected(arguments, &name(ALL));
        let is_asked = |scenario: &Scenario| all || is_selected(arguments, &name(&scenario.id));
        let (asked, others): (Vec<Scenario>, Vec<Scenario>) =
            self.scenarios.iter().cloned().partition(is_asked);
        let unasked = others.iter().map(|scenario| scenario.id.as_str());
        let mut trials: Vec<Trial> = match arguments.list {
            true => unasked
                .chain(asked.iter().map(|scenario| scenario.id.as_str()))
                .chain([ALL])
                .map(|id| Trial::test(name(id), || Ok(())))
                .collect(),
            false => unasked
                .map(|id| Trial::test(name(id), || Err("it was filtered out".into())))
                .collect(),
        };
        if arguments.list || asked.is_empty() {
            return Ok(trials);
        }
        let run = Run::of(sides, self, limit, &asked)?;
        // Before the tests' own lines: the counts are the point of the run, passed or not.
        write!(std::io::stdout(), "{}", run.text)?;
        let verdicts = run.verdicts.into_iter().zip(&asked);
        for (verdict, scenario) in verdicts {
            trials.push(test(name(&scenario.id), verdict.faults));
        }
        trials.push(test(name(ALL), run.faults));
        Ok(trials)
    }
}

fn test(name: String, faults: String) -> Trial {
    Trial::test(name, move || match faults.is_empty() {
        true => Ok(()),
        false => Err(Failed::from(faults)),
    })
}

/// What came of a run.
struct Run {
    /// By scenario.
    verdicts: Vec<Verdict>,
    /// What is wrong over all.
    faults: String,
    /// The counts, and the accepted differences with their reasons.
    text: String,
}

impl Run {
    fn of(
        sides: &Sides,
        comparison: &Comparison,
        limit: usize,
        scenarios: &[Scenario],
    ) -> Result<Self> {
        let folder = testkit::root().join("tests/scenarios");
        let file = folder.join(sides.deviations);
        let version = super::nginx_version()?;
        let deviations = deviation::load(&file, comparison.rule.name(), &version)?;
        let runtime = tokio::runtime::Runtime::new()?;
        let see = |scenarios: &[Scenario], pace| -> Result<Vec<Verdict>> {
            let start = |origin: &ScriptedOrigin| (sides.start)(origin, comparison.rule);
            let observed = runtime.block_on(observe(scenarios, start, pace))?;
            verdicts(scenarios, &observed, &deviations)
        };
        let mut verdicts = see(scenarios, Pace::SideBySide)?;

        // On a busy machine two seconds of freshness may be over too soon. What is wrong is wrong
        // with fresh processes too, and with the machine to itself.
        let doubtful: Vec<usize> = (0..scenarios.len())
            .filter(|at| !verdicts[*at].faults.is_empty() && scenarios[*at].waits())
            .collect();
        let mut repeated = String::new();
        let mut number_repeated = 0;
        if !doubtful.is_empty() && doubtful.len() <= limit {
            number_repeated = doubtful.len();
            let again: Vec<_> = doubtful.iter().map(|at| scenarios[*at].clone()).collect();
            for (at, verdict) in doubtful.iter().zip(see(&again, Pace::Alone)?) {
                let first = std::mem::replace(&mut verdicts[*at], verdict);
                repeated += &format!("put a second time:\n{}", first.faults);
            }
        }

        let used: Used = verdicts
            .iter()
            .flat_map(|verdict| verdict.used.clone())
            .collect();
        let mut faults = Vec::new();
        if comparison.scenarios.len() < comparison.fewest {
            faults.push(format!("only {} scenarios", comparison.scenarios.len()));
        }
        let choices = deviations.len() + sides.choices.len();
        if let Some(most) = sides.most_choices.filter(|most| choices > *most) {
            faults.push(format!("{choices} choices: at most {most}"));
        }
        if doubtful.len() > limit {
            faults.push(format!(
                "{} scenarios in which seconds count are not as they should be: too many to put again",
                doubtful.len()
            ));
        }
        let idle = match comparison.is_whole {
            true => deviation::idle(&deviations, None, &used),
            false => Vec::new(),
        };
        faults.extend(
            idle.iter()
                .map(|idle| format!("accepted, and does not differ: {idle}")),
        );
        let all = scenario::load(&folder)?;
        let unknown = deviation::unknown(&deviations, &all);
        faults.extend(
            unknown
                .iter()
                .map(|steps| format!("{}: there is no `{steps}`", sides.deviations)),
        );
        let counts = Counts {
            sides,
            rule: comparison.rule,
            scenarios,
            verdicts: &verdicts,
            deviations: &deviations,
        };
        let mut text = counts.text(number_repeated, limit);
        text += &repeated;
        Ok(Self {
            faults: faults.join("\n"),
            verdicts,
            text,
        })
    }
}

fn verdicts(
    scenarios: &[Scenario],
    observed: &[Observed],
    deviations: &[Deviation],
) -> Result<Vec<Verdict>> {
    let find = |number: usize, side: Side| {
        let mut found = observed.iter();
        found
            .find(|seen| seen.scenario == number && seen.side == side)
            .with_context(|| format!("scenario {number} was not run"))
    };
    let mut verdicts = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let (model, other) = (find(number, Side::Nginx)?, find(number, Side::Worker)?);
        ensure!(model.outcomes.len() == other.outcomes.len());
        verdicts.push(judge(scenario, model, other, deviations));
    }
    Ok(verdicts)
}

/// What is counted of a run.
struct Counts<'a> {
    sides: &'a Sides,
    rule: Rule,
    scenarios: &'a [Scenario],
    verdicts: &'a [Verdict],
    deviations: &'a [Deviation],
}

impl Counts<'_> {
    fn text(&self, repeated: usize, limit: usize) -> String {
        let sum = |count: fn(&Verdict) -> usize| self.verdicts.iter().map(count).sum::<usize>();
        let accepted = |place: usize| -> usize {
            let counts = self.verdicts.iter();
            counts
                .filter_map(|verdict| verdict.accepted.get(&place))
                .sum()
        };
        let name = self.sides.name_by(self.rule);
        let mut text = format!(
            "{name}: accepted differences (tests/scenarios/{}):\n",
            self.sides.deviations
        );
        let mut reasons = 0;
        for (place, deviation) in self.deviations.iter().enumerate() {
            let count = accepted(place);
            reasons += usize::from(count > 0);
            if count > 0 {
                text += &format!("{count:>7} × {}\n", deviation.reason);
            }
        }
        for choice in &self.sides.choices {
            text += &format!("{:>9} {choice}\n", "model:");
        }
        let everywhere: BTreeSet<usize> = (0..self.deviations.len())
            .filter(|place| self.deviations[*place].is_everywhere())
            .collect();
        let number = |is: &dyn Fn(&Verdict) -> bool| {
            self.verdicts.iter().filter(|verdict| is(verdict)).count()
        };
        let is_wrong = |verdict: &Verdict| !verdict.faults.is_empty();
        let is_same = |verdict: &Verdict| {
            !is_wrong(verdict)
                && verdict
                    .accepted
                    .keys()
                    .all(|place| everywhere.contains(place))
        };
        let (wrong, same) = (number(&is_wrong), number(&is_same));
        let steps: usize = self
            .scenarios
            .iter()
            .flat_map(|scenario| &scenario.steps)
            .filter(|step| !step.stop_origin)
            .count();
        text + &format!(
            "{name}: {} scenarios, {steps} steps on each side: {same} the same, {} with accepted \
             differences, {wrong} not as they should be; {repeated} put a second time (at most {limit})\n\
             values: {} the same, {} differ as accepted, {} unexplained\n\
             choices: {reasons} by which values differ, {} in the model\n",
            self.verdicts.len(),
            self.verdicts.len() - same - wrong,
            sum(|verdict| verdict.same),
            sum(|verdict| verdict.accepted.values().sum()),
            sum(|verdict| verdict.unexplained),
            self.sides.choices.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_two_in_a_hundred_are_put_again() {
        let text = "about = \"x\"\n[[scenario]]\nname = \"n\"\nsteps = [{ request = \"GET a\", pause = 1.0 }]";
        let scenario = scenario::parse("file", text).unwrap().remove(0);
        let of = |number| Comparison {
            rule: Rule::Bucket,
            scenarios: vec![scenario.clone(); number],
            fewest: 0,
            is_whole: true,
        };
        assert_eq!(limits(&[of(85), of(37), of(42)]), [1, 1, 1]);
        assert_eq!(limits(&[of(83), of(12)]), [1, 0]);
    }
}
