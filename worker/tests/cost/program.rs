//! `cost-model SEED READS`: prints what each contender takes to serve a request log, as JSON.
//!
//! An example target, so that neither the worker nor its other tests build it.

mod model;

use model::contenders;
use model::log::Shape;
use std::io::Write as _;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse());
    let (Some(Ok(seed)), Some(Ok(reads))) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: cost-model SEED READS");
        std::process::exit(2);
    };
    let shape = Shape::month(seed, usize::try_from(reads).unwrap_or(usize::MAX));
    let contenders: Vec<_> = contenders(&shape)
        .into_iter()
        .map(|(name, tally)| {
            serde_json::json!({
                "name": name,
                "answered": tally.reads.all(),
                "asked": tally.all_transactions(),
                "tally": tally,
            })
        })
        .collect();
    let printed = serde_json::json!({
        "reads": shape.reads,
        "days": shape.days,
        "archive": shape.archive,
        "posts": shape.posts,
        "exponent": shape.exponent,
        "contenders": contenders,
    });
    let written = writeln!(std::io::stdout(), "{printed}");
    if written.is_err() {
        std::process::exit(1);
    }
}
