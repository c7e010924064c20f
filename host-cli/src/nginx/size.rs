//! The size of the cache, and of the memory for its keys.

/// Assumed least average size of an object in bytes.
const BYTES_AN_OBJECT: u64 = 64 << 10;

/// Keys per megabyte of shared memory (nginx.org/en/docs/http/ngx_http_proxy_module.html,
/// `proxy_cache_path`).
const KEYS_A_MEGABYTE: u64 = 8_000;

/// A size as nginx writes it: `10g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize {
    number: u64,
    unit: char,
}

impl CacheSize {
    /// Parses `10g`, `500m` or a number of bytes.
    pub fn parse(text: &str) -> Result<CacheSize, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (digits, unit) = match lower.strip_suffix(['k', 'm', 'g']) {
            Some(digits) => (digits, lower.chars().last().unwrap_or('g')),
            None => (lower.as_str(), 'b'),
        };
        let number = digits.parse().ok().filter(|number| *number > 0);
        let (Some(number), true) = (number, digits.bytes().all(|b| b.is_ascii_digit())) else {
            return Err(format!(
                "`{text}` is not a cache size, such as `10g` or `500m`"
            ));
        };
        Ok(CacheSize { number, unit })
    }

    fn bytes(self) -> u64 {
        let shift = match self.unit {
            'k' => 10,
            'm' => 20,
            'g' => 30,
            _ => 0,
        };
        self.number.saturating_mul(1 << shift)
    }

    /// Megabytes of shared memory for the keys of the cache.
    pub(super) fn zone(self) -> u64 {
        let keys = self.bytes() / BYTES_AN_OBJECT;
        (keys / KEYS_A_MEGABYTE + 1).max(10)
    }
}

impl std::fmt::Display for CacheSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            'b' => write!(f, "{}", self.number),
            unit => write!(f, "{}{unit}", self.number),
        }
    }
}
