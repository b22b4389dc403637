//! Access control lists as text: what the programs that unpack archives take them for.

/// The attribute of a list, and the record that archives have for it.
const RECORDS: [(&[u8], &str); 2] =
    [(b"system.posix_acl_access", "SCHILY.acl.access"), (b"system.posix_acl_default", "SCHILY.acl.default")];

/// The record for an attribute that is an access list, and what stands in it.
pub fn record(name: &[u8], value: &[u8]) -> Option<(&'static str, String)> {
    let (_, key) = RECORDS.iter().find(|(attribute, _)| *attribute == name)?;
    Some((key, text(value)?))
}

/// A list in the kernel's form (version 2, then tag, permissions and id of each line) as text, people by number.
fn text(value: &[u8]) -> Option<String> {
    let (lines, rest) = value.strip_prefix(&2u32.to_le_bytes())?.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let mut said = Vec::with_capacity(lines.len());
    for [tag, tag_high, may, _, a, b, c, d] in lines {
        let id = u32::from_le_bytes([*a, *b, *c, *d]);
        let who = match u16::from_le_bytes([*tag, *tag_high]) {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit: u8, letter: char| if may & bit != 0 { letter } else { '-' };
        said.push(format!("{who}:{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')));
    }
    Some(said.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_as_other_programs_write_it() {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, may, id) in
            [(1u16, 6u16, u32::MAX), (2, 7, 1000), (4, 0, u32::MAX), (8, 4, 9), (16, 7, 0), (32, 1, 0)]
        {
            value.extend([tag.to_le_bytes(), may.to_le_bytes()].concat());
            value.extend(id.to_le_bytes());
        }
        let (key, said) = record(b"system.posix_acl_access", &value).expect("a list");
        assert_eq!(key, "SCHILY.acl.access");
        assert_eq!(said, "user::rw-,user:1000:rwx,group::---,group:9:r--,mask::rwx,other::--x");
        assert_eq!(record(b"system.posix_acl_default", &value[..11]), None);
        assert_eq!(record(b"user.x", &value), None);
    }
}
