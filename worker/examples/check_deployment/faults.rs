//! All faults of a deployment.

use edge_worker::settings::VARIABLES;

use super::configuration::{Configuration, Route};
use super::{Deployment, Fault, SettingsCheck};

/// The worker's binding of the queue of purges.
const PURGES: &str = "PURGES";

/// All faults; empty where the worker can be deployed.
pub(super) fn all(deployment: &Deployment, check: SettingsCheck) -> Vec<Fault> {
    let [configuration, production] = &deployment.configurations;
    let of_settings = check.faults.into_iter();
    let of_settings = of_settings.map(|it| fault(it.variable, it.problem));
    let mut faults: Vec<Fault> = of_settings.chain(variables(configuration)).collect();
    if deployment.secrets.is_complete {
        let known = &deployment.secrets.known;
        let missing = check
            .needed
            .iter()
            .filter(|name| !known.contains_key(**name));
        faults.extend(missing.map(|name| {
            let environment = match deployment.environment.as_str() {
                "" => String::new(),
                name => format!(" --env {name}"),
            };
            fault(name, format!("is a secret that the worker does not have; set it with `npx wrangler secret put {name}{environment}`, or upload it with `--secrets-file`"))
        }));
    }
    let is_platform = configuration.value("CACHE_MODE") == Some("platform");
    if !deployment.environment.is_empty() {
        let is_of_production = |route: &&Route| production.routes().contains(route);
        faults.extend(
            configuration
                .routes()
                .iter()
                .filter(is_of_production)
                .map(|route| {
                    fault_of(
                        route,
                        "is a route of production; deployed here, it would no longer lead there",
                    )
                }),
        );
    }
    faults.extend(routes(configuration, is_platform));
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

/// Faults in `[vars]` that the worker cannot find itself, because it reads only the variables that it knows.
fn variables(configuration: &Configuration) -> Vec<Fault> {
    let variables = configuration.vars.iter().filter_map(|(name, value)| {
        let known = VARIABLES.iter().find(|known| known.name == *name);
        let problem = match known {
            None => "is not a variable of the worker; docs/settings.md lists them",
            Some(known) if known.secret => {
                "is a secret in `[vars]`, readable by everybody with access to the account or this file; set it with `wrangler secret put`"
            }
            Some(_) if !value.is_string() => "is not a string; put it in quotes",
            Some(_) => return None,
        };
        Some(fault(name, problem))
    });
    variables.collect()
}

/// Faults of the routes.
fn routes(configuration: &Configuration, is_platform: bool) -> Vec<Fault> {
    if configuration.routes().is_empty() {
        let problem = match (configuration.workers_dev(), is_platform) {
            (true, true) => return Vec::new(),
            (true, false) => {
                "is empty, and with `CACHE_MODE = \"engine\"` nothing is cached on `workers.dev`"
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
    let faults = routes.filter_map(|route| Some(fault_of(route, problem_of(route)?)));
    faults.collect()
}

fn fault_of(route: &Route, problem: &str) -> Fault {
    fault(
        "routes",
        format!("has `{}`, which {problem}", route.pattern()),
    )
}

fn problem_of(route: &Route) -> Option<&'static str> {
    if route.is_custom_domain() {
        let is_host = !route.pattern().contains(['*', '/']);
        return (!is_host)
            .then_some("is not a host name; a custom domain is one, such as `files.example.com`");
    }
    (!route.pattern().ends_with("/*")).then_some("matches a single URL; a route of the whole domain ends in `/*`, and a custom domain has `custom_domain = true`")
}

/// Workers Cache must be enabled for the media entry, and never for the gateway.
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

/// Purges need a queue, its consumer and a dead-letter queue.
fn queues(configuration: &Configuration) -> Vec<Fault> {
    let queues = &configuration.queues;
    let Some(producer) = queues
        .producers
        .iter()
        .find(|producer| producer.binding == PURGES)
    else {
        return vec![fault(
            "queues.producers",
            "has no binding `PURGES`, and `CACHE_MODE` is `platform`: more than five purges a minute would be refused",
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
            "has no entry for `{queue}`: no purge would be carried out"
        ));
    }
    if consumer.is_some_and(|consumer| consumer.dead_letter_queue.is_none()) {
        problems.push(format!("has no `dead_letter_queue` for `{queue}`: purges that are refused too often would be lost"));
    }
    // developers.cloudflare.com/workers/cache/purge
    if consumer.is_some_and(|consumer| consumer.max_batch_size.is_some_and(|size| size > 100)) {
        problems.push(format!(
            "has a `max_batch_size` over 100 for `{queue}`: one call purges at most 100 tags"
        ));
    }
    problems
        .into_iter()
        .map(|problem| fault("queues.consumers", problem))
        .collect()
}
