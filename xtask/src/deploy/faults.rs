//! Everything that is wrong with what is to be deployed, at once.

use super::configuration::{Configuration, Route};
use super::rules::{Fault, Verdict};
use super::secrets::Secrets;

/// The binding of the queue of purges, as the worker knows it.
const PURGES: &str = "PURGES";

/// Lists every fault; empty where it can be deployed.
pub(super) fn all(
    configuration: &Configuration,
    verdict: &Verdict,
    secrets: &Secrets,
) -> Vec<Fault> {
    let mut faults = verdict.faults.clone();
    faults.extend(variables(configuration, verdict));
    if secrets.is_complete {
        let missing = verdict
            .needed
            .iter()
            .filter(|name| secrets.source(name).is_none());
        faults.extend(missing.map(|name| {
            let environment = match configuration.environment.wrangler_name() {
                "" => String::new(),
                name => format!(" --env {name}"),
            };
            let put = format!("npx wrangler secret put {name}{environment}");
            fault(name, &format!("is a secret that the worker does not have; set it with `{put}`, or upload it with `--secrets-file`"))
        }));
    }
    let is_platform = verdict.value(configuration, "CACHE_MODE") == Some("platform");
    faults.extend(addresses(configuration, is_platform));
    if is_platform {
        faults.extend(cache(configuration));
        faults.extend(queues(configuration));
    }
    faults
}

impl Verdict {
    /// What holds for a variable that is no secret: its text, else its default.
    pub(super) fn value<'a>(
        &'a self,
        configuration: &'a Configuration,
        name: &str,
    ) -> Option<&'a str> {
        let text = configuration
            .variables
            .get(name)
            .and_then(toml::Value::as_str);
        let default = || {
            let known = self.variables.iter().find(|known| known.name == name)?;
            known.default.as_deref()
        };
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .or_else(default)
    }
}

fn fault(subject: &str, problem: &str) -> Fault {
    Fault {
        subject: subject.to_owned(),
        problem: problem.to_owned(),
    }
}

/// What the worker cannot tell, since it looks only for what it knows.
fn variables(configuration: &Configuration, verdict: &Verdict) -> Vec<Fault> {
    let check = |(name, value): (&String, &toml::Value)| {
        let Some(known) = verdict.variables.iter().find(|known| known.name == *name) else {
            return Some(fault(
                name,
                "is no variable of the worker; docs/settings.md lists them",
            ));
        };
        if known.secret {
            return Some(fault(
                name,
                "is a secret and stands in `[vars]`, where everybody with access to the account or this file can read it; set it with `wrangler secret put`",
            ));
        }
        (!value.is_str()).then(|| fault(name, "is no text; put it between quotes"))
    };
    configuration.variables.iter().filter_map(check).collect()
}

/// Where the worker answers.
fn addresses(configuration: &Configuration, is_platform: bool) -> Vec<Fault> {
    if configuration.routes.is_empty() {
        let problem = match (configuration.workers_dev, is_platform) {
            (true, true) => return Vec::new(),
            (true, false) => {
                "is empty, and with `CACHE_MODE = \"engine\"` nothing can be kept on `workers.dev`"
            }
            (false, _) => "is empty",
        };
        return vec![fault(
            "routes",
            &format!(
                "{problem}; it should be a custom domain, `[{{ pattern = \"files.example.com\", custom_domain = true }}]`, or a route, `[{{ pattern = \"files.example.com/*\", zone_name = \"example.com\" }}]`"
            ),
        )];
    }
    let taken = configuration.taken.iter().map(|route| {
        let pattern = route.pattern();
        fault(
            "routes",
            &format!("has `{pattern}`, which is production's, and would take it away from there"),
        )
    });
    let each = configuration.routes.iter().filter_map(address);
    taken.chain(each).collect()
}

fn address(route: &Route) -> Option<Fault> {
    let pattern = route.pattern();
    let problem = if route.is_custom_domain() {
        pattern
            .contains(['*', '/'])
            .then_some("is no host: a custom domain is one, such as `files.example.com`")
    } else {
        (!pattern.ends_with("/*")).then_some(
            "covers one address: a route to the whole domain ends in `/*`, and a custom domain has `custom_domain = true`",
        )
    };
    problem.map(|problem| fault("routes", &format!("has `{pattern}`, which {problem}")))
}

/// The platform's cache must stand in front of the media entry, and never in front of the gateway.
fn cache(configuration: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !configuration.cached.media {
        faults.push(fault(
            "exports.Media",
            "is not cached, and `CACHE_MODE` is `platform`; it should have `cache = { enabled = true }`",
        ));
    }
    if configuration.cached.gateway {
        faults.push(fault(
            "exports.default",
            "is cached, so that requests would not reach the worker; it should have `cache = { enabled = false }`",
        ));
    }
    faults
}

/// Purges go through a queue, and none may get lost.
fn queues(configuration: &Configuration) -> Vec<Fault> {
    let producer = configuration
        .producers
        .iter()
        .find(|producer| producer.binding == PURGES);
    let Some(producer) = producer else {
        return vec![fault(
            "queues.producers",
            "has no binding `PURGES`, and `CACHE_MODE` is `platform`: purges would be refused beyond five a minute",
        )];
    };
    let queue = &producer.queue;
    let consumer = configuration
        .consumers
        .iter()
        .find(|consumer| consumer.queue == *queue);
    let Some(consumer) = consumer else {
        return vec![fault(
            "queues.consumers",
            &format!("has none for `{queue}`: no purge would be carried out"),
        )];
    };
    let mut faults = Vec::new();
    if consumer.dead_letter_queue.is_none() {
        faults.push(fault(
            "queues.consumers",
            &format!("has no `dead_letter_queue` for `{queue}`: purges that are refused too often would be lost"),
        ));
    }
    // One call of the platform takes a hundred (developers.cloudflare.com/workers/cache/purge).
    if consumer.max_batch_size.is_some_and(|size| size > 100) {
        faults.push(fault(
            "queues.consumers",
            &format!("has a `max_batch_size` over 100 for `{queue}`: one purge takes no more"),
        ));
    }
    faults
}
