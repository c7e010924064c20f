//! Which names can be keys: the rule of all commands, and the same as the edge worker's.

use super::skip::SkipReason;

/// Why the service or the edge would refuse a key of this path. `longest`: bytes of a path at most.
pub fn name_fault(path: &str, longest: usize) -> Option<SkipReason> {
    if path.len() > longest {
        return Some(SkipReason::KeyTooLong);
    }
    path.split('/').find_map(part_fault)
}

/// The same for one part of a path, between two `/`.
pub(super) fn part_fault(part: &str) -> Option<SkipReason> {
    /// Bytes, by B2's rules.
    const LONGEST_PART: usize = 250;
    // B2 refuses ASCII's control characters, the edge also U+0080 to U+009F.
    if part.chars().any(char::is_control) {
        Some(SkipReason::ControlCharacter)
    } else if part.len() > LONGEST_PART {
        Some(SkipReason::PartTooLong)
    } else {
        None
    }
}
