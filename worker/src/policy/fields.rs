//! Header fields as one text, just as they cross to JavaScript and back.
//!
//! The `http` crate's map hashes and allocates for lookups that a list of some ten fields answers
//! faster and in a tenth of the code. Whether a value may stand in a header is not checked here:
//! fields come from the runtime, which has checked them, or from this crate's own tables.

/// Header fields in the order they came. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Name and value on alternating lines, each ended by a newline: neither can hold one.
    text: String,
    /// Where in the text each field's name and value end.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// Reads what [`Self::text`] gives.
    #[must_use]
    pub fn of_text(text: String) -> Self {
        let mut lines = text.match_indices('\n').map(|(end, _)| end);
        let ends = std::iter::from_fn(|| Some((lines.next()?, lines.next()?))).collect();
        Self { text, ends }
    }

    /// Name and value on alternating lines, each ended by a newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without the last field, and that field.
    #[must_use]
    pub fn split_last(&self) -> Option<(&str, (&str, &str))> {
        let at = self.ends.len().checked_sub(1)?;
        let (begin, (name, value)) = (self.begin(at), self.ends[at]);
        let field = (&self.text[begin..name], &self.text[name + 1..value]);
        Some((&self.text[..begin], field))
    }

    /// The value of the first field called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.position(name)?;
        let (name, value) = self.ends[at];
        Some(&self.text[name + 1..value])
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
        let mut begin = 0;
        self.ends.iter().map(move |&(name, value)| {
            let field = (&self.text[begin..name], &self.text[name + 1..value]);
            begin = value + 1;
            field
        })
    }

    /// Adds a field after those that are there.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        let value = value.as_ref();
        debug_assert!(!name.contains('\n') && !value.contains('\n'));
        self.text.reserve(name.len() + value.len() + 2);
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push('\n');
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
        self.text.push('\n');
    }

    /// Puts one field in place of every field called `name`.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes every field called `name`.
    pub fn remove(&mut self, name: &str) {
        while let Some(at) = self.position(name) {
            let begin = self.begin(at);
            let after = self.ends[at].1 + 1;
            self.text.drain(begin..after);
            self.ends.remove(at);
            for (name, value) in &mut self.ends[at..] {
                *name -= after - begin;
                *value -= after - begin;
            }
        }
    }

    /// Where in the text a field begins.
    fn begin(&self, at: usize) -> usize {
        at.checked_sub(1)
            .map_or(0, |before| self.ends[before].1 + 1)
    }

    /// Which field is the first called `name`. A miss asks often: most names differ in their length.
    fn position(&self, name: &str) -> Option<usize> {
        let text = self.text.as_bytes();
        let mut begin = 0;
        self.ends.iter().position(|&(end, value)| {
            let same_length = end - begin == name.len();
            let is_it = same_length && text[begin..end].eq_ignore_ascii_case(name.as_bytes());
            begin = value + 1;
            is_it
        })
    }

    /// The length that `Content-Length` states; `None` where it states none, or no number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        super::number::parse_decimal(self.get("content-length")?.trim())
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut all = Self::new();
        for (name, value) in fields {
            all.push(name.as_ref(), value);
        }
        all
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
    fn the_text_is_read_back_as_the_same_fields() {
        let fields: Fields = [("a", "1"), ("b", ""), ("", "é")].into_iter().collect();
        assert_eq!(fields.text(), "a\n1\nb\n\n\né\n");
        assert_eq!(Fields::of_text(fields.text().to_owned()), fields);
        assert_eq!(fields.split_last(), Some(("a\n1\nb\n\n", ("", "é"))));
        let one = Fields::from_iter([("a", "1")]);
        assert_eq!(one.split_last(), Some(("", ("a", "1"))));
        assert_eq!(Fields::of_text(String::new()), Fields::new());
        assert_eq!(Fields::new().split_last(), None);
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
