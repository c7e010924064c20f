//! What is asked of everyone: cold reads, hits and a flash crowd.

use super::wrk::{End, Load};

/// Bytes of a small object.
pub(super) const SMALL: u64 = 20_000;

/// Bytes of a large object.
pub(super) const LARGE: u64 = 5_000_000;

/// One thing to measure.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) load: Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing of it is stored yet.
    Cold,
    /// As [`Kind::Cold`], for many readers at once from an origin that takes its time.
    Crowd,
    /// All of it is stored already.
    Hit,
}

/// In this order: the hits find what the cold reads have left, and what some leave out comes last.
pub(super) const CASES: [Case; 5] = [
    Case {
        name: "cold read, 20 KB",
        kind: Kind::Cold,
        load: Load {
            prefix: "/small/",
            keys: 1_000,
            each: 1,
            end: End::Once,
            connections: 20,
            size: SMALL,
        },
    },
    Case {
        name: "cold read, 5 MB",
        kind: Kind::Cold,
        load: Load {
            prefix: "/large/",
            keys: 30,
            each: 1,
            end: End::Once,
            connections: 4,
            size: LARGE,
        },
    },
    Case {
        name: HIT,
        kind: Kind::Hit,
        load: Load {
            prefix: "/small/",
            keys: 100,
            each: 1,
            end: End::Seconds(3),
            connections: 20,
            size: SMALL,
        },
    },
    Case {
        name: "hit, 5 MB",
        kind: Kind::Hit,
        load: Load {
            prefix: "/large/",
            keys: 10,
            each: 1,
            end: End::Seconds(3),
            connections: 4,
            size: LARGE,
        },
    },
    Case {
        name: FLASH,
        kind: Kind::Crowd,
        load: Load {
            prefix: "/crowd/",
            keys: 250,
            each: 20,
            end: End::Once,
            connections: 200,
            size: SMALL,
        },
    },
];

pub(super) const FLASH: &str = "flash crowd: 5,000 requests, 250 cold keys";
pub(super) const HIT: &str = "hit, 20 KB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_ask_for_what_cold_reads_have_left() {
        for hit in CASES.iter().filter(|case| case.kind == Kind::Hit) {
            let cold = CASES
                .iter()
                .find(|case| case.kind == Kind::Cold && case.load.prefix == hit.load.prefix);
            assert!(cold.unwrap().load.keys >= hit.load.keys, "{}", hit.name);
        }
    }
}
