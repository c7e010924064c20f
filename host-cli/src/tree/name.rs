//! Which names can be keys: the one rule for all commands, and the same that the edge worker has.

use super::skip::SkipReason;

/// Why a key of this path would be refused, if it would. `longest`: bytes that the path may have.
pub fn name_fault(path: &str, longest: usize) -> Option<SkipReason> {
    if path.len() > longest {
        return Some(SkipReason::KeyTooLong);
    }
    path.split('/').find_map(part_fault)
}

/// The same for what stands between two `/`.
pub(super) fn part_fault(part: &str) -> Option<SkipReason> {
    /// Bytes; the service's own bound.
    const LONGEST_PART: usize = 250;
    // The service refuses ASCII's control characters; the edge also U+0080 to U+009F.
    if part.chars().any(char::is_control) {
        Some(SkipReason::ControlCharacter)
    } else if part.len() > LONGEST_PART {
        Some(SkipReason::PartTooLong)
    } else {
        None
    }
}
