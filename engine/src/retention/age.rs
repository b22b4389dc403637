//! How long ago: years, months, weeks, days and hours, as people write them (`1y6m`, `30d`, `36h`).

use std::fmt;
use std::str::FromStr;

/// A length of time: years to days on the calendar, and hours, each of 3,600 seconds. At least one part is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    years: u16,
    months: u16,
    weeks: u16,
    days: u16,
    hours: u16,
}

/// The text names no age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write numbers from 1 to 9999 with y, m, w, d or h, longest first, as in 1y6m or 30d")]
pub struct AgeError;

impl Age {
    /// What is to be counted on a calendar, as a span of jiff to subtract from a date, if there is any; and hours.
    pub(super) fn parts_apart(self) -> (Option<jiff::Span>, u16) {
        let Self { years, months, weeks, days, hours } = self;
        let is_none = (years, months, weeks, days) == (0, 0, 0, 0);
        let span = || jiff::Span::new().years(years).months(months).weeks(weeks).days(days);
        ((!is_none).then(span), hours)
    }

    fn parts(&mut self) -> [(char, &mut u16); 5] {
        [
            ('y', &mut self.years),
            ('m', &mut self.months),
            ('w', &mut self.weeks),
            ('d', &mut self.days),
            ('h', &mut self.hours),
        ]
    }
}

impl FromStr for Age {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let mut age = Self::default();
        let mut rest = text;
        for (unit, part) in age.parts() {
            let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let (number, after) = rest.split_at_checked(digits).ok_or(AgeError)?;
            if let Some(after) = after.strip_prefix(unit) {
                // Years up to 9,999 are all a calendar has; nobody means more of a smaller unit either.
                *part = number.parse().ok().filter(|number| *number <= 9_999).ok_or(AgeError)?;
                rest = after;
            }
        }
        if rest.is_empty() && age != Self::default() { Ok(age) } else { Err(AgeError) }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        for (unit, part) in copy.parts() {
            if *part != 0 {
                write!(out, "{part}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_they_are_shown() {
        for text in ["1y", "6m", "2w", "30d", "36h", "1y6m2w3d4h", "1y4h"] {
            assert_eq!(text.parse::<Age>().map(|age| age.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("0y3d".parse::<Age>().map(|age| age.to_string()), Ok("3d".to_owned()));
    }

    #[test]
    fn what_is_no_age_is_refused() {
        for text in ["", "d", "3", "3x", "d3", "3d1y", "1d1d", "-3d", "0d", "99999d", "1.5d", "3 d", "3D", "١d"] {
            assert_eq!(text.parse::<Age>(), Err(AgeError), "{text}");
        }
    }
}
