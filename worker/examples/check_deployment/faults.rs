//! Everything that is wrong with what is to be deployed, at once.

use edge_worker::settings::VARIABLES;

use super::configuration::{Configuration, Route};
use super::{Fault, Question, Verdict};

/// The binding of the queue of purges, as the worker knows it.
const PURGES: &str = "PURGES";

/// Lists every fault; empty where it can be deployed.
pub(super) fn all(question: &Question, verdict: Verdict) -> Vec<Fault> {
    let [configuration, production] = &question.configurations;
    let of_settings = verdict.faults.into_iter();
    let of_settings = of_settings.map(|found| fault(found.variable, found.problem));
    let mut faults: Vec<Fault> = of_settings.chain(variables(configuration)).collect();
    if question.secrets.is_complete {
        let known = &question.secrets.known;
        let missing = verdict
            .needed
            .iter()
            .filter(|name| !known.contains_key(**name));
        faults.extend(missing.map(|name| {
            let environment = match question.environment.as_str() {
                "" => String::new(),
                name => format!(" --env {name}"),
            };
            fault(name, format!("is a secret that the worker does not have; set it with `npx wrangler secret put {name}{environment}`, or upload it with `--secrets-file`"))
        }));
    }
    let is_platform = configuration.value("CACHE_MODE") == Some("platform");
    if !question.environment.is_empty() {
        let shared = |route: &&Route| production.routes().contains(route);
        faults.extend(
            configuration
                .routes()
                .iter()
                .filter(shared)
                .map(|route| fault_of(route, "is production's, and would take it away from there")),
        );
    }
    faults.extend(addresses(configuration, is_platform));
    if is_platform {
        faults.extend(cache(configuration));
        faults.extend(queues(configuration));
    }
    faults
}

fn fault(subject: &str, problem: impl Into<String>) -> Fault {
    Fault {
        subject: subject.to_owned(),
        problem: problem.into(),
    }
}

/// What a running worker cannot tell, since it looks only for what it knows.
fn variables(configuration: &Configuration) -> Vec<Fault> {
    let variables = configuration.vars.iter().filter_map(|(name, value)| {
        let known = VARIABLES.iter().find(|known| known.name == *name);
        let problem = match known {
            None => "is no variable of the worker; docs/settings.md lists them",
            Some(known) if known.secret => {
                "is a secret and stands in `[vars]`, where everybody with access to the account or this file can read it; set it with `wrangler secret put`"
            }
            Some(_) if !value.is_string() => "is no text; put it between quotes",
            Some(_) => return None,
        };
        Some(fault(name, problem))
    });
    variables.collect()
}

/// Where the worker answers.
fn addresses(configuration: &Configuration, is_platform: bool) -> Vec<Fault> {
    if configuration.routes().is_empty() {
        let problem = match (configuration.workers_dev(), is_platform) {
            (true, true) => return Vec::new(),
            (true, false) => {
                "is empty, and with `CACHE_MODE = \"engine\"` nothing can be kept on `workers.dev`"
            }
            (false, _) => "is empty",
        };
        return vec![fault(
            "routes",
            format!(
                "{problem}; it should be a custom domain, `[{{ pattern = \"files.example.com\", custom_domain = true }}]`, or a route, `[{{ pattern = \"files.example.com/*\", zone_name = \"example.com\" }}]`"
            ),
        )];
    }
    let routes = configuration.routes().iter();
    let faults = routes.filter_map(|route| Some(fault_of(route, address(route)?)));
    faults.collect()
}

fn fault_of(route: &Route, problem: &str) -> Fault {
    fault(
        "routes",
        format!("has `{}`, which {problem}", route.pattern()),
    )
}

fn address(route: &Route) -> Option<&'static str> {
    if route.is_custom_domain() {
        let is_host = !route.pattern().contains(['*', '/']);
        return (!is_host)
            .then_some("is no host: a custom domain is one, such as `files.example.com`");
    }
    (!route.pattern().ends_with("/*")).then_some("covers one address: a route to the whole domain ends in `/*`, and a custom domain has `custom_domain = true`")
}

/// The platform's cache must stand in front of the media entry, and never in front of the gateway.
fn cache(configuration: &Configuration) -> Vec<Fault> {
    let entry = |name: &str, cached, problem| {
        (configuration.is_cached(name) != cached).then(|| {
            let problem = format!("{problem}; it should have `cache = {{ enabled = {cached} }}`");
            fault(&format!("exports.{name}"), problem)
        })
    };
    [
        entry(
            "Media",
            true,
            "is not cached, and `CACHE_MODE` is `platform`",
        ),
        entry(
            "default",
            false,
            "is cached, so that requests would not reach the worker",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Purges go through a queue, and none may get lost.
fn queues(configuration: &Configuration) -> Vec<Fault> {
    let queues = &configuration.queues;
    let Some(producer) = queues
        .producers
        .iter()
        .find(|producer| producer.binding == PURGES)
    else {
        return vec![fault(
            "queues.producers",
            "has no binding `PURGES`, and `CACHE_MODE` is `platform`: purges would be refused beyond five a minute",
        )];
    };
    let queue = &producer.queue;
    let consumer = queues
        .consumers
        .iter()
        .find(|consumer| consumer.queue == *queue);
    let mut problems = Vec::new();
    if consumer.is_none() {
        problems.push(format!(
            "has none for `{queue}`: no purge would be carried out"
        ));
    }
    if consumer.is_some_and(|consumer| consumer.dead_letter_queue.is_none()) {
        problems.push(format!("has no `dead_letter_queue` for `{queue}`: purges that are refused too often would be lost"));
    }
    // One call of the platform takes a hundred (developers.cloudflare.com/workers/cache/purge).
    if consumer.is_some_and(|consumer| consumer.max_batch_size.is_some_and(|size| size > 100)) {
        problems.push(format!(
            "has a `max_batch_size` over 100 for `{queue}`: one purge takes no more"
        ));
    }
    problems
        .into_iter()
        .map(|problem| fault("queues.consumers", problem))
        .collect()
}
