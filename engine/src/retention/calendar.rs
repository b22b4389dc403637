//! Hours, days, weeks, months and years of a place: what two times must share to count as one.

use super::age::Age;
use crate::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const HOUR_SECONDS: i64 = 3600;

/// A time as a clock on the wall shows it, and how far that clock is from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    seconds: i64,
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
        Self { seconds, shown: offset.to_datetime(utc), offset_seconds: offset.seconds() }
    }

    /// The time at which a clock of the place shows this. Of two, when clocks are put back, or of none, when they are put
    /// forward, it is one within that hour.
    fn at(shown: DateTime, offset_at: &dyn Fn(Timestamp) -> i32) -> Self {
        let as_utc = Offset::UTC.to_timestamp(shown).unwrap_or(jiff::Timestamp::MIN).as_second();
        let at = |offset: i32| Timestamp { seconds: as_utc.saturating_sub(i64::from(offset)), nanoseconds: 0 };
        let local = |time: Timestamp| Self::new(time, offset_at(time));
        let near = local(at(offset_at(at(0))));
        local(at(near.offset_seconds))
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

    /// The time from which on a snapshot is within `age` before this: years to days are those of the calendar, hours
    /// pass as they do, whatever clocks are put to. The beginning of the calendar is the end of every age.
    pub(super) fn before(&self, age: Age, offset_at: &dyn Fn(Timestamp) -> i32) -> i64 {
        let (days, hours) = age.parts_apart();
        let begins = match days {
            Some(days) => Self::at(self.shown.saturating_sub(days), offset_at).seconds,
            None => self.seconds,
        };
        begins.saturating_sub(i64::from(hours).saturating_mul(HOUR_SECONDS))
    }

    /// Whether this is later than that.
    pub(super) fn is_after(&self, seconds: i64) -> bool {
        self.seconds > seconds
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

    /// Europe/Berlin in 2026, but for the hours around New Year.
    fn berlin(time: Timestamp) -> i32 {
        let (spring, autumn) = (at("2026-03-29T01:00:00Z").seconds, at("2026-10-25T01:00:00Z").seconds);
        if (spring..autumn).contains(&time.seconds) { 7_200 } else { 3_600 }
    }

    fn within(age: &str, time: &str, newest: &str, offset_at: &dyn Fn(Timestamp) -> i32) -> bool {
        let local = |text| {
            let time = Timestamp { seconds: at(text).seconds, nanoseconds: 0 };
            Local::new(time, offset_at(time))
        };
        local(time).is_after(local(newest).before(age.parse().expect("an age"), offset_at))
    }

    #[test]
    fn an_age_counts_months_as_the_calendar_does() {
        let newest = "2026-03-31T12:00:00Z";
        assert!(within("1m", "2026-02-28T12:00:01Z", newest, &|_| 0));
        assert!(!within("1m", "2026-02-28T12:00:00Z", newest, &|_| 0));
        assert!(within("9999y", "1800-01-01T00:00:00Z", newest, &|_| 0));
    }

    #[test]
    fn hours_are_as_long_as_ever_when_clocks_change() {
        // 03:30 in summer, 45 minutes after 01:45 in winter.
        assert!(within("1h", "2026-03-29T00:45:00Z", "2026-03-29T01:30:00Z", &berlin));
        assert!(!within("1h", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", &berlin));
        assert!(within("24h", "2026-03-28T12:00:01Z", "2026-03-29T12:00:00Z", &berlin));
        assert!(!within("24h", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &berlin));
        // 02:10 in winter, an hour and a half after 01:40 in summer, though clocks show half an hour.
        assert!(!within("1h", "2026-10-24T23:40:00Z", "2026-10-25T01:10:00Z", &berlin));
        assert!(within("2h", "2026-10-24T23:40:00Z", "2026-10-25T01:10:00Z", &berlin));
    }

    #[test]
    fn days_are_those_of_the_calendar_when_clocks_change() {
        // Noon to noon: 23 hours in spring, 25 in autumn.
        assert!(within("1d", "2026-03-28T11:00:01Z", "2026-03-29T10:00:00Z", &berlin));
        assert!(!within("1d", "2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z", &berlin));
        assert!(within("1d", "2026-10-24T10:00:01Z", "2026-10-25T11:00:00Z", &berlin));
        assert!(!within("1d", "2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z", &berlin));
        // A day before 02:30 on the day after is a time that no clock shows; one of that night is close enough.
        assert!(within("1d", "2026-03-29T01:30:01Z", "2026-03-30T00:30:00Z", &berlin));
        assert!(!within("1d", "2026-03-29T00:30:00Z", "2026-03-30T00:30:00Z", &berlin));
        // A day and an hour: the day first.
        assert!(within("1d1h", "2026-03-28T10:00:01Z", "2026-03-29T10:00:00Z", &berlin));
        assert!(!within("1d1h", "2026-03-28T10:00:00Z", "2026-03-29T10:00:00Z", &berlin));
    }

    #[test]
    fn times_beyond_every_calendar_do_no_harm() {
        for seconds in [i64::MIN, i64::MAX] {
            for offset in [i32::MIN, 0, i32::MAX] {
                let local = Local::new(Timestamp { seconds, nanoseconds: 0 }, offset);
                for unit in [Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Year] {
                    local.bucket(unit);
                }
                let ages = ["9999y9999m9999w9999d9999h", "1h", "1d"].map(|age| age.parse().expect("an age"));
                assert!(ages.into_iter().all(|age| local.before(age, &|_| offset) <= local.seconds));
            }
        }
    }
}
