//! Tagged fields of a record: for each its tag (u8), the length of its value (u32, big-endian) and the value.

use std::collections::BTreeMap;

use crate::store::rows::record::Read;

/// The number that names a field.
pub(super) type Tag = u8;

/// Appends a field if it has a value.
pub(super) fn put(bytes: &mut Vec<u8>, tag: Tag, value: Option<impl AsRef<[u8]>>) {
    let Some(value) = value else { return };
    let value = value.as_ref();
    bytes.push(tag);
    bytes.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(value);
}

/// The fields of a record by tag.
pub(super) struct Fields<'a>(BTreeMap<Tag, &'a [u8]>);

impl<'a> Fields<'a> {
    /// Reads all of `bytes` as fields.
    ///
    /// # Errors
    /// Fails if a tag is not in `known`, occurs twice, or announces more bytes than there are.
    pub(super) fn read(mut bytes: &'a [u8], known: &[Tag]) -> Read<Self> {
        let mut fields = BTreeMap::new();
        while let Some((tag, rest)) = bytes.split_first() {
            let (length, rest) = rest.split_first_chunk().ok_or("a field has no length")?;
            let length = u32::from_be_bytes(*length) as usize;
            let (value, rest) =
                rest.split_at_checked(length).ok_or_else(|| format!("field {tag} is cut off"))?;
            if !known.contains(tag) {
                return Err(format!("unknown field {tag}: a newer version of the program wrote it"));
            }
            if fields.insert(*tag, value).is_some() {
                return Err(format!("field {tag} occurs twice"));
            }
            bytes = rest;
        }
        Ok(Self(fields))
    }

    /// Returns what `read` makes of the field's value, or `None` if the record does not have the field.
    pub(super) fn map<T>(&self, tag: Tag, read: impl FnOnce(&'a [u8]) -> Read<T>) -> Read<Option<T>> {
        self.0.get(&tag).copied().map(read).transpose().map_err(|error| format!("field {tag}: {error}"))
    }
}

/// Reads a value as text.
pub(super) fn text(bytes: &[u8]) -> Read<&str> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

/// Reads a value as a u64.
pub(super) fn number(bytes: &[u8]) -> Read<u64> {
    let bytes = bytes.try_into().map_err(|_| format!("{} bytes are not a u64", bytes.len()))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_as_they_were_written() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, Some("a"));
        put(&mut bytes, 2, None::<&str>);
        put(&mut bytes, 3, Some(7_u64.to_be_bytes()));
        put(&mut bytes, 4, Some(""));
        let fields = Fields::read(&bytes, &[1, 2, 3, 4]).unwrap();
        assert_eq!((fields.map(1, text), fields.map(2, text)), (Ok(Some("a")), Ok(None)));
        assert_eq!((fields.map(3, number), fields.map(4, text)), (Ok(Some(7)), Ok(Some(""))));
        assert_eq!(fields.map(1, number), Err("field 1: 1 bytes are not a u64".to_owned()));
    }

    #[test]
    fn a_field_of_a_newer_version_is_refused_by_its_tag() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, Some("a"));
        put(&mut bytes, 9, Some("b"));
        let error = Fields::read(&bytes, &[1]).err().unwrap();
        assert_eq!(error, "unknown field 9: a newer version of the program wrote it");
        assert!(Fields::read(&bytes, &[1, 9]).is_ok());
    }

    #[test]
    fn fields_that_are_cut_off_or_repeated_are_refused() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, Some("value"));
        for cut in 1..bytes.len() {
            assert!(Fields::read(&bytes[..cut], &[1]).is_err(), "{cut}");
        }
        let twice = [&bytes[..], &bytes[..]].concat();
        assert_eq!(Fields::read(&twice, &[1]).err().unwrap(), "field 1 occurs twice");
    }
}
