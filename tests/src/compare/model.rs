//! The corrected nginx, and what of it is a choice of the product.
//!
//! `tests/nginx/corrected.conf` holds three kinds of lines: those of `files.conf` unchanged, corrections,
//! which whoever writes that configuration today would make too, and choices of the product, without
//! which a step could only be compared with its difference. A choice in the model hides a difference
//! as much as an accepted one does, so it is named there, counted with those, and printed.

use super::Rule;

const CORRECTED: &str = include_str!("../../nginx/corrected.conf");

/// What a comment begins with that names a choice, or says that the lines below it are one.
const CHOICE: &str = "# Choice ";

/// The configuration for that rule, in which `FOLDER`, `PORT` and `ORIGIN` are to be filled in.
#[must_use]
pub fn corrected(rule: Rule) -> String {
    let ignored = match rule {
        Rule::Bucket => "",
        Rule::Settings | Rule::SettingsOfSeconds => "Cache-Control Expires X-Accel-Expires",
    };
    CORRECTED
        .replace("IGNORED", ignored)
        .replace("FRESH", rule.fresh_seconds())
}

/// The choices of the product that stand in the model, as its first lines name them.
#[must_use]
pub fn choices() -> Vec<String> {
    let mut choices: Vec<String> = Vec::new();
    for line in CORRECTED.lines().take_while(|line| line.starts_with('#')) {
        if let Some((_, text)) = line
            .strip_prefix(CHOICE)
            .and_then(|rest| rest.split_once(": "))
        {
            choices.push(text.to_owned());
        } else if let (Some(text), Some(last)) = (line.strip_prefix("#   "), choices.last_mut()) {
            last.push(' ');
            last.push_str(text);
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const AS_FOUND: &str = include_str!("../../nginx/files.conf");

    #[test]
    fn the_choices_in_the_model_are_these() {
        assert_eq!(
            choices(),
            [
                "an error is a line of the domain's own with the security headers, whoever says it; a \
                 condition that fails and a range beyond the end have no text.",
                "a preflight is answered and the root is index.html; other methods, names that no object \
                 can have, and account archives are refused before the bucket is asked.",
                "nothing of the reader but the name goes to the bucket, so its answer cannot vary; \
                 nothing of the bucket but the object and its description comes back; a stored copy is \
                 confirmed by its tag alone, where it has one.",
            ]
        );
    }

    #[test]
    fn every_line_is_as_found_or_under_a_correction_or_a_choice() {
        let as_found: BTreeSet<&str> = AS_FOUND.lines().map(str::trim).collect();
        let mut made = BTreeSet::new();
        let mut is_explained = false;
        let after_the_head = CORRECTED.lines().skip_while(|line| line.starts_with('#'));
        for line in after_the_head.map(str::trim) {
            if let Some(rest) = line.strip_prefix(CHOICE) {
                let number = rest.split(['.', ':']).next().unwrap_or_default();
                made.insert(number.parse::<usize>().unwrap());
                is_explained = true;
            } else if line.starts_with("# Correction: ") {
                is_explained = true;
            } else if line.is_empty() {
                is_explained = false;
            } else if !line.starts_with('#') {
                assert!(is_explained || as_found.contains(line), "`{line}`");
            }
        }
        let named: BTreeSet<usize> = (1..=choices().len()).collect();
        assert_eq!(
            made, named,
            "choices that are made, and those that are named"
        );
    }
}
