//! Values as people write them: sizes, times, selectors, parts of a repository.

use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser;
use clap::builder::ValueParser;
use clap::builder::ValueParserFactory;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use strongroom::BudgetShare;
use strongroom::EntryPath;
use strongroom::ReadBudget;
use strongroom::ReadData;
use strongroom::Timestamp;

/// `SNAPSHOT[:PATH]`: a snapshot, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `latest`, `latest~2`, an identifier or the beginning of one.
    pub snapshot: String,
    /// The part; `None` for all of it.
    pub below: Option<EntryPath>,
}

impl Selector {
    fn parse(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let (snapshot, path) = bytes.split_at(colon.unwrap_or(bytes.len()));
        if snapshot.is_empty() {
            return Err("the snapshot is missing: give its ID, or 'latest'".into());
        }
        let path = OsStr::from_bytes(path.get(1..).unwrap_or_default());
        Ok(Self { snapshot: String::from_utf8_lossy(snapshot).into_owned(), below: entry_path(path)? })
    }
}

impl ValueParserFactory for Selector {
    type Parser = ValueParser;

    fn value_parser() -> ValueParser {
        ValueParser::new(OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text)))
    }
}

/// A path inside a snapshot as people write it: absolute or not, `/` for everything.
pub fn entry_path(text: &OsStr) -> Result<Option<EntryPath>, String> {
    let is_part = |part: &&[u8]| !matches!(*part, b"" | b".");
    let parts: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'/').filter(is_part).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    EntryPath::parse(&parts.join(&b'/')).map(Some).map_err(|why| why.to_string())
}

/// What to leave out or to take, any bytes. An empty pattern would mean everything or nothing, and nobody means either
/// by it.
pub fn pattern() -> ValueParser {
    let given = |text: OsString| if text.is_empty() { Err(is_empty("a pattern")) } else { Ok(text) };
    ValueParser::new(OsStringValueParser::new().try_map(given))
}

/// The name of a host.
pub fn parse_host(text: &str) -> Result<String, String> {
    if text.is_empty() { Err(is_empty("the name of a host")) } else { Ok(text.into()) }
}

fn is_empty(what: &str) -> String {
    format!("{what} has at least one letter (is a variable not set?)")
}

/// The raw bytes of a path of this system.
pub fn raw_path(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// Bytes: `1000`, `10M`, `1.5GiB`. `K M G T P` and `KiB MiB ..` are binary, `KB MB ..` decimal.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size: write it as 500, 10M or 1.5GiB");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let power = |letter: Option<char>| letter.and_then(|letter| "kmgtp".find(letter)).map(|at| at as i32 + 1);
    let mut letters = unit.chars();
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        _ => {
            let power = power(letters.next()).ok_or_else(wrong)?;
            match letters.as_str() {
                "" | "ib" => 1024f64.powi(power),
                "b" => 1000f64.powi(power),
                _ => return Err(wrong()),
            }
        }
    };
    if factor == 1.0 {
        return number.parse().map_err(|_| wrong());
    }
    let value = number.parse::<f64>().map_err(|_| wrong())? * factor;
    // Beyond 2^63 a double says nothing exact any more, and nobody has such a file.
    if value.is_finite() && value < 9.2e18 { Ok(value.round() as u64) } else { Err(wrong()) }
}

/// RFC 3339, or local `YYYY-MM-DD [HH:MM[:SS]]`.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(instant) => instant,
        Err(_) => text
            .parse::<DateTime>()
            .and_then(|local| local.to_zoned(TimeZone::system()))
            .map_err(|_| format!("'{text}' is not a time: write it as 2026-01-31T18:00:00Z or '2026-01-31 18:00:00'"))?
            .timestamp(),
    };
    // Nanoseconds of an instant before 1970 count backwards; whole seconds are rounded down here.
    let nanoseconds = instant.as_nanosecond();
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).map_err(|why| why.to_string())?;
    let below = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).map_err(|why| why.to_string())?;
    Ok(Timestamp { seconds, nanoseconds: below })
}

/// How much of the data to read: `2/5`, `10%` or a size.
pub fn parse_read_data(text: &str) -> Result<ReadData, String> {
    if let Some((part, of)) = text.split_once('/') {
        return match (part.trim().parse::<u64>(), of.trim().parse::<u64>()) {
            (Ok(part), Ok(of)) if part >= 1 && part <= of => Ok(ReadData::Part { part, of }),
            _ => Err(format!("'{text}' is not a part: write it as n/t with 1 <= n <= t")),
        };
    }
    Ok(match parse_share(text)? {
        Share::Percent(percent) => ReadData::Percent(percent),
        Share::Bytes(bytes) => ReadData::Bytes(bytes),
    })
}

/// `AMOUNT/TIME`: `10%/day`, `5GiB/run`, `100%/30d`.
pub fn parse_budget(text: &str) -> Result<ReadBudget, String> {
    let wrong = || format!("'{text}' is not a budget: write it as 10%/day, 5GiB/run or 100%/30d");
    let (amount, time) = text.split_once('/').ok_or_else(wrong)?;
    let share = match parse_share(amount.trim())? {
        Share::Percent(percent) => BudgetShare::Percent(percent),
        Share::Bytes(bytes) => BudgetShare::Bytes(bytes),
    };
    let time = time.trim();
    if time == "run" {
        return Ok(ReadBudget::each_run(share));
    }
    let split = time.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = time.split_at(split);
    let number: u64 = if number.is_empty() { 1 } else { number.parse().map_err(|_| wrong())? };
    let unit: u64 = match unit {
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(seconds) if seconds > 0 => Ok(ReadBudget::every(share, Duration::from_secs(seconds))),
        _ => Err(wrong()),
    }
}

/// An amount of stored data.
enum Share {
    Percent(f64),
    Bytes(u64),
}

fn parse_share(text: &str) -> Result<Share, String> {
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.trim().parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Share::Percent(percent)),
            _ => Err(format!("'{text}' is not a percentage above 0 and up to 100")),
        };
    }
    match parse_size(text)? {
        0 => Err("nothing would be read".into()),
        size => Ok(Share::Bytes(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_names_nothing() {
        assert!(parse_host("").is_err());
        assert_eq!(parse_host("vm"), Ok("vm".into()));
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("1000", 1000),
            ("12b", 12),
            ("10k", 10_240),
            ("10K", 10_240),
            ("10M", 10 << 20),
            ("1.5GiB", 3 << 29),
            ("2 TiB", 2 << 40),
            ("10MB", 10_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "M", "-1", "10X", "1.5", "1..5M", "10MiBB", "99999999P", "1e3"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_instants_or_local() {
        let instant = Timestamp { seconds: 1_767_225_600, nanoseconds: 0 };
        assert_eq!(parse_time("2026-01-01T00:00:00Z"), Ok(instant));
        assert_eq!(parse_time("2026-01-01T02:00:00+02:00"), Ok(instant));
        assert_eq!(parse_time("1969-12-31T23:59:59.5Z"), Ok(Timestamp { seconds: -1, nanoseconds: 500_000_000 }));
        let local = parse_time("2026-01-01 00:00:00").expect("a local time");
        assert!((local.seconds - instant.seconds).abs() <= 15 * 3600);
        assert_eq!(parse_time("2026-01-01"), Ok(local));
        assert_eq!(parse_time("2026-01-01 00:00"), Ok(local));
        for text in ["", "yesterday", "2026-13-01", "12:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn selectors_name_a_snapshot_or_a_part_of_it() {
        let part = |text: &str| EntryPath::parse(text.as_bytes()).ok();
        for (text, snapshot, below) in [
            ("latest", "latest", None),
            ("latest~2", "latest~2", None),
            ("ab12:", "ab12", None),
            ("ab12:/", "ab12", None),
            ("ab12:/home/ann/", "ab12", part("home/ann")),
            ("latest:a:b", "latest", part("a:b")),
        ] {
            assert_eq!(Selector::parse(text.as_ref()), Ok(Selector { snapshot: snapshot.into(), below }), "{text}");
        }
        assert!(Selector::parse("".as_ref()).is_err());
        assert!(Selector::parse(":/home".as_ref()).is_err());
        assert!(Selector::parse("ab12:/home/../etc".as_ref()).is_err());
        let raw = Selector::parse(OsStr::from_bytes(b"ab12:/r\xffw")).expect("any bytes");
        assert_eq!(raw.below.expect("a part").as_bytes(), b"r\xffw");
    }

    #[test]
    fn parts_of_the_data_are_fractions_percentages_or_sizes() {
        assert_eq!(parse_read_data("2/5"), Ok(ReadData::Part { part: 2, of: 5 }));
        assert_eq!(parse_read_data("2.5%"), Ok(ReadData::Percent(2.5)));
        assert_eq!(parse_read_data("1G"), Ok(ReadData::Bytes(1 << 30)));
        for text in ["0/5", "6/5", "1/0", "0%", "101%", "x%", "0", "some"] {
            assert!(parse_read_data(text).is_err(), "{text}");
        }
    }

    #[test]
    fn budgets_are_an_amount_and_a_time() {
        let (tenth, gigabytes) = (BudgetShare::Percent(10.0), BudgetShare::Bytes(5 << 30));
        let every = |share, hours: u64| Ok(ReadBudget::every(share, Duration::from_secs(hours * 3600)));
        for (text, budget) in [
            ("10%/run", Ok(ReadBudget::each_run(tenth))),
            ("5GiB/run", Ok(ReadBudget::each_run(gigabytes))),
            ("10%/day", every(tenth, 24)),
            ("10 % / 1d", every(tenth, 24)),
            ("5G/12h", every(gigabytes, 12)),
            ("5G/hour", every(gigabytes, 1)),
            ("10%/2weeks", every(tenth, 336)),
            ("100%/30d", every(BudgetShare::Percent(100.0), 720)),
        ] {
            assert_eq!(parse_budget(text), budget, "{text}");
        }
        for text in
            ["", "10%", "/day", "10%/", "0/day", "101%/day", "10%/0d", "10%/30", "10%/m", "1G/99999999999999999w"]
        {
            assert!(parse_budget(text).is_err(), "{text}");
        }
    }
}
