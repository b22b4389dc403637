//! Hours, days, weeks, months and years of a place: what two times must share to count as one.

use super::age::Age;
use crate::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A time as a clock on the wall shows it, and how far that clock is from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    shown: DateTime,
    offset_seconds: i32,
}

/// What a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Local {
    /// Times and offsets that no calendar has come out as the nearest that one has.
    pub(super) fn new(time: Timestamp, offset_seconds: i32) -> Self {
        let limits = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
        let seconds = time.seconds.clamp(limits.0, limits.1);
        let utc = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let offset = Offset::from_seconds(offset_seconds).unwrap_or(Offset::UTC);
        Self { shown: offset.to_datetime(utc), offset_seconds: offset.seconds() }
    }

    /// A number that is the same for all times within one unit, and for no other time.
    pub(super) fn bucket(&self, unit: Unit) -> i64 {
        let (date, year) = (self.shown.date(), i64::from(self.shown.year()));
        match unit {
            // When clocks are put back an hour is shown twice; the two are not one.
            Unit::Hour => {
                let day = (year * 12 + i64::from(date.month())) * 31 + i64::from(date.day());
                (day * 24 + i64::from(self.shown.hour())) * 200_000 + i64::from(self.offset_seconds)
            }
            Unit::Day => (year * 12 + i64::from(date.month())) * 31 + i64::from(date.day()),
            Unit::Week => {
                let week = date.iso_week_date();
                i64::from(week.year()) * 53 + i64::from(week.week())
            }
            Unit::Month => year * 12 + i64::from(date.month()),
            Unit::Year => year,
        }
    }

    /// Whether this is later than `age` before `newest`. The beginning of the calendar is the end of every age.
    pub(super) fn is_within(&self, age: Age, newest: &Self) -> bool {
        let after = newest.shown.saturating_sub(age.span());
        self.shown > after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Local {
        let time: jiff::Timestamp = text.parse().expect("a time");
        Local::new(Timestamp { seconds: time.as_second(), nanoseconds: 0 }, 0)
    }

    #[test]
    fn units_begin_and_end_where_the_calendar_says() {
        let same = |unit, left: &str, right: &str| at(left).bucket(unit) == at(right).bucket(unit);
        assert!(same(Unit::Hour, "2026-11-21T10:00:00Z", "2026-11-21T10:59:59Z"));
        assert!(!same(Unit::Hour, "2026-11-21T10:59:59Z", "2026-11-21T11:00:00Z"));
        assert!(!same(Unit::Hour, "2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"));
        assert!(!same(Unit::Day, "2026-11-30T10:00:00Z", "2026-12-30T10:00:00Z"));
        assert!(same(Unit::Week, "2026-11-16T00:00:00Z", "2026-11-22T23:59:59Z"));
        assert!(!same(Unit::Week, "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"));
        assert!(same(Unit::Week, "2026-12-31T12:00:00Z", "2027-01-03T12:00:00Z"), "one week in two years");
        assert!(!same(Unit::Week, "2021-01-03T12:00:00Z", "2021-12-31T12:00:00Z"), "week 53 of 2020 is not of 2021");
        assert!(!same(Unit::Month, "2025-11-21T00:00:00Z", "2026-11-21T00:00:00Z"));
        assert!(same(Unit::Year, "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"));
    }

    #[test]
    fn a_place_decides_what_a_day_is() {
        let (before, after) =
            (Timestamp { seconds: 82_800, nanoseconds: 0 }, Timestamp { seconds: 90_000, nanoseconds: 0 });
        let same = |offset| Local::new(before, offset).bucket(Unit::Day) == Local::new(after, offset).bucket(Unit::Day);
        assert!(!same(0));
        assert!(same(3_600));
        assert!(same(-7_200));
    }

    #[test]
    fn the_hour_that_clocks_show_twice_is_two_hours() {
        let (summer, winter) = (Timestamp { seconds: 0, nanoseconds: 0 }, Timestamp { seconds: 3_600, nanoseconds: 0 });
        assert_ne!(Local::new(summer, 7_200).bucket(Unit::Hour), Local::new(winter, 3_600).bucket(Unit::Hour));
    }

    #[test]
    fn an_age_counts_months_as_the_calendar_does() {
        let newest = at("2026-03-31T12:00:00Z");
        let month: Age = "1m".parse().expect("an age");
        assert!(at("2026-02-28T12:00:01Z").is_within(month, &newest));
        assert!(!at("2026-02-28T12:00:00Z").is_within(month, &newest));
        let all: Age = "9999y".parse().expect("an age");
        assert!(at("1800-01-01T00:00:00Z").is_within(all, &newest));
    }

    #[test]
    fn times_beyond_every_calendar_do_no_harm() {
        for seconds in [i64::MIN, i64::MAX] {
            for offset in [i32::MIN, 0, i32::MAX] {
                let local = Local::new(Timestamp { seconds, nanoseconds: 0 }, offset);
                for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
                    local.bucket(unit);
                }
            }
        }
    }
}
