//! Decimal numbers, read and written without the standard formatter.
//!
//! The formatter would weigh more in the worker than everything that is written with it.

/// Appends `number` in decimal.
pub fn push_decimal(text: &mut String, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// `number` in decimal.
#[must_use]
pub fn decimal(number: u64) -> String {
    let mut text = String::new();
    push_decimal(&mut text, number);
    text
}

/// Reads a number of ASCII digits and nothing else. `None` for anything else and past `u64::MAX`.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for byte in text.bytes() {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for number in [0, 9, 10, 1_000_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
            assert_eq!(parse_decimal(&decimal(number)), Some(number));
        }
    }

    #[test]
    fn only_digits_are_a_number() {
        for text in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "18446744073709551616",
            "١",
        ] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }
}
