//! Header fields as a plain list.
//!
//! The `http` crate's map hashes and allocates for lookups that a list of some ten fields answers
//! faster and in a tenth of the code. Whether a value may stand in a header is not checked here:
//! fields come from the runtime, which has checked them, or from this crate's own tables.

/// Header fields in the order they came. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of the first field called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The values of every field called `name`, in order. A runtime may also hand several over
    /// as one value, joined by `, `.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a field after those that are there.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Puts one field in place of every field called `name`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes every field called `name`.
    pub fn remove(&mut self, name: &str) {
        self.0
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The length that `Content-Length` states; `None` where it states none, or no number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        super::number::parse_decimal(self.get("content-length")?.trim())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        Self(
            fields
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whatever_its_case() {
        let fields: Fields = [("ETag", "\"a\""), ("etag", "\"b\"")].into_iter().collect();
        assert_eq!(fields.get("etag"), Some("\"a\""));
        assert_eq!(fields.all("ETAG").collect::<Vec<_>>(), ["\"a\"", "\"b\""]);
    }

    #[test]
    fn set_leaves_one_field_of_the_name() {
        let mut fields: Fields = [("a", "1"), ("b", "2"), ("A", "3")].into_iter().collect();
        fields.set("A", "4");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("b", "2"), ("A", "4")]);
    }

    #[test]
    fn a_length_is_a_number_or_not_there() {
        let length = |value: &str| Fields::from_iter([("Content-Length", value)]).content_length();
        assert_eq!(length("12"), Some(12));
        assert_eq!(length("-1"), None);
        assert_eq!(length("1, 1"), None);
        assert_eq!(Fields::new().content_length(), None);
    }
}
