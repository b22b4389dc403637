//! One component of a pattern, matched against one name.
//!
//! Names are taken apart into characters; a byte that is no part of one stands for itself. NFC and NFD are different
//! characters, as they are different names to the kernel.

/// A byte that is no part of a character is this much and itself: no character has such a number.
const BAD_BYTE: u32 = 0x11_0000;

/// A component, in the cheapest form that can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Exactly these bytes.
    Literal(Vec<u8>),
    /// Anything between these two.
    Around(Vec<u8>, Vec<u8>),
    /// Whatever else.
    Tokens(Vec<Token>),
}

/// What one step of a pattern takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    One(u32),
    /// Any one character.
    Any,
    /// Any number of characters.
    Many,
    /// One character of a class.
    Class(Class),
}

/// The characters between brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    negated: bool,
    ranges: Vec<(u32, u32)>,
    any_case: bool,
}

impl Name {
    /// Understands one component; the error says what is wrong with it.
    pub(super) fn parse(text: &[u8], any_case: bool) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some((unit, length)) = unit_at(text, at) {
            at += length;
            tokens.push(match char::from_u32(unit) {
                Some('\\') => {
                    let (unit, length) = unit_at(text, at).ok_or("a backslash stands at the end of a name")?;
                    at += length;
                    Token::One(folded_if(any_case, unit))
                }
                Some('?') => Token::Any,
                Some('*') if tokens.last() == Some(&Token::Many) => continue,
                Some('*') => Token::Many,
                Some('[') => {
                    let (class, end) = Class::parse(text, at, any_case)?;
                    at = end;
                    Token::Class(class)
                }
                _ => Token::One(folded_if(any_case, unit)),
            });
        }
        Ok(Self::of(tokens))
    }

    fn of(tokens: Vec<Token>) -> Self {
        let star = tokens.iter().position(|token| *token == Token::Many);
        let (head, tail) = tokens.split_at(star.unwrap_or(tokens.len()));
        match (literal(head), literal(tail.get(1..).unwrap_or_default())) {
            (Some(bytes), _) if star.is_none() => Self::Literal(bytes),
            // Bytes that are no characters may look like the end of one.
            (Some(head), Some(tail)) if str::from_utf8(&head).is_ok() && str::from_utf8(&tail).is_ok() => {
                Self::Around(head, tail)
            }
            _ => Self::Tokens(tokens),
        }
    }

    /// Whether the whole name fits; where case says nothing it must be given folded.
    pub(super) fn fits(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(bytes) => bytes == name,
            Self::Around(head, tail) => {
                name.len() >= head.len() + tail.len() && name.ends_with(tail) && name.starts_with(head)
            }
            Self::Tokens(tokens) => may_end(tokens, name) && fit(tokens, name),
        }
    }
}

impl Class {
    /// Reads from behind the opening bracket; gives where it ends.
    fn parse(text: &[u8], begin: usize, any_case: bool) -> Result<(Self, usize), String> {
        let mut at = begin;
        let next = |at: &mut usize| {
            let (unit, length) = unit_at(text, *at).ok_or("a [ is not closed")?;
            *at += length;
            Ok::<u32, String>(unit)
        };
        let is = |unit: u32, letter: char| unit == u32::from(letter);
        let mut negated = false;
        let mut ranges = Vec::new();
        let mut unit = next(&mut at)?;
        if is(unit, '!') || is(unit, '^') {
            negated = true;
            unit = next(&mut at)?;
        }
        loop {
            let first = if is(unit, '\\') { next(&mut at)? } else { unit };
            let mut last = first;
            unit = next(&mut at)?;
            if is(unit, '-') {
                unit = next(&mut at)?;
                if is(unit, ']') {
                    ranges.push((u32::from('-'), u32::from('-')));
                } else {
                    last = if is(unit, '\\') { next(&mut at)? } else { unit };
                    unit = next(&mut at)?;
                }
            }
            if first > last {
                return Err("a range in brackets is the wrong way round".to_owned());
            }
            let single = first == last;
            ranges.push(if single { (folded_if(any_case, first), folded_if(any_case, first)) } else { (first, last) });
            if is(unit, ']') {
                return Ok((Self { negated, ranges, any_case }, at));
            }
        }
    }

    fn has(&self, unit: u32) -> bool {
        let is_in = |unit: u32| self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&unit));
        let is_in = is_in(unit) || self.any_case && other_cases(unit).into_iter().flatten().any(is_in);
        is_in != self.negated
    }
}

/// The bytes that tokens stand for, where they stand for nothing else.
fn literal(tokens: &[Token]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for token in tokens {
        let Token::One(unit) = token else { return None };
        push(&mut bytes, *unit);
    }
    Some(bytes)
}

/// The literal text of a component that matches one name only.
pub(super) fn only(name: &Name) -> Option<&[u8]> {
    match name {
        Name::Literal(bytes) => Some(bytes),
        _ => None,
    }
}

/// Whether the last character says nothing against the name: most names are out at that.
fn may_end(tokens: &[Token], name: &[u8]) -> bool {
    match (tokens.last(), name.last()) {
        (Some(last), Some(byte)) if byte.is_ascii() => last.takes(u32::from(*byte)),
        _ => true,
    }
}

/// Whether all of `name` is taken by the tokens. After a failure the last `*` takes one more character.
fn fit(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut back = None;
    loop {
        match tokens.get(token) {
            Some(Token::Many) => {
                token += 1;
                back = Some((token, at));
                continue;
            }
            Some(one) => {
                if let Some((unit, length)) = unit_at(name, at)
                    && one.takes(unit)
                {
                    token += 1;
                    at += length;
                    continue;
                }
            }
            None if at == name.len() => return true,
            None => {}
        }
        let Some((behind, from)) = back else { return false };
        let Some((_, length)) = unit_at(name, from) else { return false };
        (token, at) = (behind, from + length);
        back = Some((token, at));
    }
}

impl Token {
    fn takes(&self, unit: u32) -> bool {
        match self {
            Self::One(one) => *one == unit,
            Self::Any | Self::Many => true,
            Self::Class(class) => class.has(unit),
        }
    }
}

/// The character at `at`, or the byte that is no part of one, and how many bytes it has.
fn unit_at(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let first = *bytes.get(at)?;
    let length = match first {
        0..=0x7f => return Some((u32::from(first), 1)),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let character = bytes.get(at..at + length).and_then(|bytes| str::from_utf8(bytes).ok()?.chars().next());
    Some(character.map_or((BAD_BYTE + u32::from(first), 1), |character| (u32::from(character), length)))
}

fn push(bytes: &mut Vec<u8>, unit: u32) {
    match char::from_u32(unit) {
        Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        // Only the byte is left of what is no character.
        None => bytes.extend(unit.checked_sub(BAD_BYTE).and_then(|byte| u8::try_from(byte).ok())),
    }
}

fn folded_if(any_case: bool, unit: u32) -> u32 {
    if any_case { folded(unit) } else { unit }
}

/// One form for all cases of a character, as long as it is one character in all of them.
fn folded(unit: u32) -> u32 {
    // The dotless i is a letter of its own, though its capital is the common one.
    let [upper, _] = if unit == u32::from('ı') { [None, None] } else { other_cases(unit) };
    let upper = upper.unwrap_or(unit);
    other_cases(upper)[1].unwrap_or(upper)
}

/// The capital and the small form of a character, where they are one character.
fn other_cases(unit: u32) -> [Option<u32>; 2] {
    fn single(mut forms: impl Iterator<Item = char>) -> Option<u32> {
        let first = forms.next().map(u32::from);
        first.filter(|_| forms.next().is_none())
    }
    let Some(character) = char::from_u32(unit) else { return [None, None] };
    [single(character.to_uppercase()), single(character.to_lowercase())]
}

/// A path in the one form for all cases.
pub(super) fn fold(path: &[u8]) -> Vec<u8> {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some((unit, length)) = unit_at(path, at) {
        push(&mut out, folded(unit));
        at += length;
    }
    out
}
