//! Little-endian primitives: a reader that never trusts a number, a writer that gives one encoding per value.

use crate::format::FormatError;
use crate::time::Timestamp;

/// Why a time is refused, read or written.
pub(crate) const BAD_TIME: FormatError = FormatError::Invalid("a time has a second or more of nanoseconds");

/// Reads from the front of a byte slice; every method either gives a whole value or an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.0.len()
    }

    /// True at the end.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends reading: bytes left over are an error.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(FormatError::TrailingBytes { count }),
        }
    }

    /// The next `count` bytes, borrowed.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        match self.0.split_at_checked(count) {
            Some((head, tail)) => {
                self.0 = tail;
                Ok(head)
            }
            None => Err(FormatError::Truncated { missing: count.saturating_sub(self.0.len()) }),
        }
    }

    /// The next `N` bytes, copied.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        match self.0.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.0 = tail;
                Ok(*head)
            }
            None => Err(FormatError::Truncated { missing: N.saturating_sub(self.0.len()) }),
        }
    }

    /// Everything left, borrowed.
    pub(crate) fn rest(&mut self) -> Result<&'a [u8], FormatError> {
        Ok(std::mem::take(&mut self.0))
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// Two bytes.
    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, two's complement.
    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A `u32` count of items that take at least `item_bytes` (1 or more) each: refused when they cannot all be
    /// here, so that it may size an allocation.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, FormatError> {
        let count = size(self.u32()?);
        match count.checked_mul(item_bytes.max(1)) {
            Some(total) if total <= self.remaining() => Ok(count),
            Some(total) => Err(FormatError::Truncated { missing: total.saturating_sub(self.remaining()) }),
            None => Err(FormatError::Truncated { missing: usize::MAX }),
        }
    }

    /// A `u32` length and that many bytes.
    pub(crate) fn block(&mut self) -> Result<&'a [u8], FormatError> {
        let length = size(self.u32()?);
        self.bytes(length)
    }

    /// A `u32` length and that many bytes of UTF-8.
    pub(crate) fn text(&mut self) -> Result<String, FormatError> {
        self.block().and_then(utf8)
    }

    /// Everything left, as UTF-8.
    pub(crate) fn text_to_end(&mut self) -> Result<String, FormatError> {
        self.rest().and_then(utf8)
    }

    /// Seconds as `i64`, nanoseconds as `u32` below a second.
    pub(crate) fn timestamp(&mut self) -> Result<Timestamp, FormatError> {
        let seconds = self.i64()?;
        let nanoseconds = self.u32()?;
        let time = Timestamp { seconds, nanoseconds };
        if time.is_valid() { Ok(time) } else { Err(BAD_TIME) }
    }

    /// A count (`u32`) and that many items of at least `item_bytes` each.
    pub(crate) fn list<T>(
        &mut self,
        item_bytes: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let count = self.count(item_bytes)?;
        let mut items = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Reads one value that must take everything left.
    pub(crate) fn whole<T>(
        mut self,
        value: impl FnOnce(&mut Self) -> Result<T, FormatError>,
    ) -> Result<T, FormatError> {
        let value = value(&mut self)?;
        self.finish()?;
        Ok(value)
    }
}

/// The fields of a TLV body in turn: tag `u16`, length `u32`, value; tags ascend and none comes twice.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    last: Option<u16>,
}

impl<'a> Fields<'a> {
    /// All of `body` is fields.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { reader: Reader::new(body), last: None }
    }

    /// The next tag and a reader over exactly its value; `None` at the end. The caller refuses tags it does not know
    /// with [`unknown_field`] and reads the value with [`Reader::whole`].
    pub(crate) fn next_field(&mut self) -> Result<Option<(u16, Reader<'a>)>, FormatError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let tag = self.reader.u16()?;
        if self.last.is_some_and(|last| tag <= last) {
            return Err(FormatError::Invalid("its fields are out of order or doubled"));
        }
        self.last = Some(tag);
        let value = self.reader.block()?;
        Ok(Some((tag, Reader::new(value))))
    }
}

/// The error for a tag that this program does not know.
pub(crate) fn unknown_field(object: &str, tag: u16) -> FormatError {
    FormatError::Unsupported(format!("field {tag} of {object}"))
}

/// The value of a field that must be there.
pub(crate) fn required<T>(value: Option<T>) -> Result<T, FormatError> {
    value.ok_or(FormatError::Invalid("a required field is missing"))
}

/// A stored `u32` as a size in memory.
pub(crate) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A size in memory as it is stored.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep every object and every list far below 4 Gi")
}

fn utf8(bytes: &[u8]) -> Result<String, FormatError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(FormatError::Invalid("a text is not UTF-8")),
    }
}

/// Appends values in the form [`Reader`] reads.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Nothing yet, with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Goes on behind what `bytes` holds already.
    #[cfg(test)]
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Raw bytes, no length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// One byte.
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Two bytes.
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Four bytes.
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Eight bytes.
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Eight bytes, two's complement.
    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// A `u32` count.
    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.u32(length_u32(count))
    }

    /// A `u32` length and the bytes (text as UTF-8).
    pub(crate) fn block(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.count(bytes.len()).bytes(bytes)
    }

    /// Seconds and nanoseconds.
    pub(crate) fn timestamp(&mut self, time: Timestamp) -> &mut Self {
        self.i64(time.seconds).u32(time.nanoseconds)
    }

    /// A count and the items one after another.
    pub(crate) fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.count(items.len());
        for each in items {
            item(self, each);
        }
        self
    }

    /// One TLV field. Fields are written in ascending order of their tags; `Fields` refuses anything else.
    pub(crate) fn field(&mut self, tag: u16, value: impl FnOnce(&mut Self)) -> &mut Self {
        self.u16(tag).u32(0);
        let start = self.0.len();
        value(self);
        let length = length_u32(self.0.len() - start).to_le_bytes();
        let place = self.0.get_mut(start - length.len()..start).expect("the length was written just before the value");
        place.copy_from_slice(&length);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(1).u16(0x0203).u32(0x0405_0607).u64(8).i64(-9).block("ten");
        writer.timestamp(Timestamp { seconds: -1, nanoseconds: 999_999_999 });
        writer.list(&[7u16, 8], |writer, item| {
            writer.u16(*item);
        });
        writer.finish()
    }

    fn read(bytes: &[u8]) -> Result<(), FormatError> {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.u8()?, 1);
        assert_eq!(reader.u16()?, 0x0203);
        assert_eq!(reader.u32()?, 0x0405_0607);
        assert_eq!(reader.u64()?, 8);
        assert_eq!(reader.i64()?, -9);
        assert_eq!(reader.text()?, "ten");
        assert_eq!(reader.timestamp()?, Timestamp { seconds: -1, nanoseconds: 999_999_999 });
        assert_eq!(reader.list(2, Reader::u16)?, [7, 8]);
        reader.finish()
    }

    #[test]
    fn what_was_written_reads_back_and_every_cut_is_an_error() {
        let bytes = sample();
        assert_eq!(read(&bytes), Ok(()));
        for length in 0..bytes.len() {
            assert!(matches!(read(&bytes[..length]), Err(FormatError::Truncated { .. })), "cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(read(&longer), Err(FormatError::TrailingBytes { count: 1 }));
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut writer = Writer::new();
        writer.u16(0x0102).u32(0x0304_0506).i64(-2);
        assert_eq!(writer.finish(), [2, 1, 6, 5, 4, 3, 0xfe, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn a_count_larger_than_the_bytes_at_hand_sizes_nothing() {
        let mut writer = Writer::new();
        writer.u32(u32::MAX).bytes(&[0; 64]);
        let bytes = writer.finish();
        assert!(matches!(Reader::new(&bytes).count(48), Err(FormatError::Truncated { .. })));
        assert!(matches!(Reader::new(&bytes).list(usize::MAX, Reader::u8), Err(FormatError::Truncated { .. })));
        assert!(matches!(Reader::new(&bytes).block(), Err(FormatError::Truncated { .. })));
    }

    #[test]
    fn fields_must_ascend_and_end_exactly() {
        let body = |tags: &[u16]| {
            let mut writer = Writer::new();
            for tag in tags {
                writer.field(*tag, |value| {
                    value.u16(tag + 1);
                });
            }
            writer.finish()
        };
        let read = |bytes: &[u8]| -> Result<Vec<u16>, FormatError> {
            let mut fields = Fields::new(bytes);
            let mut tags = Vec::new();
            while let Some((tag, value)) = fields.next_field()? {
                assert_eq!(value.whole(Reader::u16)?, tag + 1);
                tags.push(tag);
            }
            Ok(tags)
        };
        assert_eq!(read(&body(&[1, 2, 9])), Ok(vec![1, 2, 9]));
        for wrong in [&[1, 1][..], &[2, 1], &[1, 3, 2]] {
            assert!(matches!(read(&body(wrong)), Err(FormatError::Invalid(_))), "{wrong:?}");
        }
        let bytes = body(&[1]);
        assert_eq!(bytes, [1, 0, 2, 0, 0, 0, 2, 0]);
        for length in 1..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn texts_are_utf_8_and_times_are_below_a_second() {
        let mut writer = Writer::new();
        writer.block([0xff, 0xfe]);
        assert!(matches!(Reader::new(&writer.finish()).text(), Err(FormatError::Invalid(_))));
        let mut writer = Writer::new();
        writer.i64(0).u32(1_000_000_000);
        assert!(matches!(Reader::new(&writer.finish()).timestamp(), Err(FormatError::Invalid(_))));
    }
}
