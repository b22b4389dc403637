//! The line of a job on its way, in as many columns as there are: numbers first, then the path.

use crate::show::bytes;
use crate::show::counted;
use crate::show::duration;
use strongroom::Progress;

/// Columns that a path needs to tell anything.
const PATH_COLUMNS_MIN: usize = 12;

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub entries: u64,
    pub bytes: u64,
}

/// What is known of a job at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    pub progress: Progress,
    pub expected: Expected,
    /// Bytes a second.
    pub rate: Option<u64>,
    pub seconds_left: Option<u64>,
    /// What is worked on.
    pub path: Option<String>,
}

impl Moment {
    /// How much is done, 0 to 1; by bytes where they are known.
    pub fn fraction(&self) -> Option<f64> {
        let (done, total) = match self.expected.bytes {
            0 => (self.progress.entries_done, self.expected.entries),
            total => (self.progress.bytes_done, total),
        };
        (total > 0).then(|| (done as f64 / total as f64).min(1.0))
    }

    /// The line: the fullest of its forms that fits, and of the path what there is room for.
    pub fn line(&self, columns: usize) -> String {
        let mut line = String::new();
        for terseness in 0..=5 {
            line = self.numbers(terseness);
            if columns_of(&line) <= columns {
                break;
            }
        }
        let left = columns.saturating_sub(columns_of(&line) + 2);
        match &self.path {
            Some(path) if left >= PATH_COLUMNS_MIN => format!("{line}  {}", shortened(path, left)),
            _ => line,
        }
    }

    /// The numbers, fewer with each step; how far it is, what went wrong and how long it takes stay to the last.
    fn numbers(&self, terseness: u8) -> String {
        let Self { progress, expected, .. } = self;
        let of = |total: u64, text: String| {
            if total > 0 && terseness < 3 { format!(" / {text}") } else { String::new() }
        };
        let one = progress.entries_done.max(expected.entries) == 1;
        let entries = || {
            let of = of(expected.entries, expected.entries.to_string());
            format!("{}{of} {}", progress.entries_done, if one { "entry" } else { "entries" })
        };
        let done = || format!("{}{}", bytes(progress.bytes_done), of(expected.bytes, bytes(expected.bytes)));
        let rate = || self.rate.map(|rate| format!("{}/s", bytes(rate)));
        // A job that counts no bytes has only its entries to tell.
        let has_bytes = progress.bytes_done > 0 || expected.bytes > 0;
        let parts = [
            Some(entries()).filter(|_| terseness < 1 || !has_bytes),
            Some(done()).filter(|_| terseness < 5 && has_bytes),
            rate().filter(|_| terseness < 2 || terseness == 3),
            Some(counted(progress.warnings, "warning")).filter(|_| progress.warnings > 0),
        ];
        let percent = self.fraction().map(|part| format!("{:5.1} %  ", part * 100.0)).unwrap_or_default();
        let left = self.seconds_left.map(|left| format!("  ETA {}", duration(left))).unwrap_or_default();
        format!("{percent}{}{left}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// A text in so many columns: what is left out is left out in the middle, where paths say least.
pub fn shortened(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let (mut front, mut used) = (String::new(), 0);
    for letter in text.chars() {
        used += width(letter);
        if used > room / 3 {
            break;
        }
        front.push(letter);
    }
    let left = room - columns_of(&front);
    let (mut back, mut used) = (Vec::new(), 0);
    for letter in text.chars().rev() {
        used += width(letter);
        if used > left {
            break;
        }
        back.push(letter);
    }
    format!("{front}…{}", back.into_iter().rev().collect::<String>())
}

fn columns_of(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Letters of far scripts may take two columns: a line that is too long would be broken.
fn width(letter: char) -> usize {
    if letter < '\u{1100}' || letter == '…' { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        let mut progress = Progress::default();
        progress.entries_done = 12_345;
        progress.bytes_done = 1_234 << 20;
        progress.warnings = 2;
        Moment {
            progress,
            expected: Expected { entries: 67_890, bytes: 5 << 30 },
            rate: Some(83 << 20),
            seconds_left: Some(3_671),
            path: Some("/home/ann/pictures/2026/summer/a very long name of a folder/IMG_0001.jpg".into()),
        }
    }

    #[test]
    fn the_fullest_line_that_fits_is_shown_at_every_width() {
        let line = |columns| moment().line(columns);
        assert_eq!(
            line(49),
            " 24.1 %  1.205 GiB / 5.000 GiB, 2 warnings  ETA 1:01:11".replace(" / 5.000 GiB", ""),
            "60 columns, less the clock before it"
        );
        assert_eq!(line(69), " 24.1 %  1.205 GiB / 5.000 GiB, 83.000 MiB/s, 2 warnings  ETA 1:01:11");
        assert_eq!(
            line(109),
            " 24.1 %  12345 / 67890 entries, 1.205 GiB / 5.000 GiB, 83.000 MiB/s, 2 warnings  ETA 1:01:11  /hom…G_0001.jpg"
        );
        for columns in 34..200 {
            let line = line(columns);
            assert!(columns_of(&line) <= columns, "{columns}: {line}");
            assert!(line.contains("24.1 %") && line.contains("2 warnings") && line.contains("ETA 1:01:11"), "{line}");
        }
    }

    #[test]
    fn a_first_backup_shows_rate_and_path_before_anything_is_counted() {
        let mut first = moment();
        (first.expected, first.seconds_left, first.progress.warnings) = (Expected::default(), None, 0);
        assert_eq!(first.line(49), "12345 entries, 1.205 GiB, 83.000 MiB/s");
        assert_eq!(first.line(69), "12345 entries, 1.205 GiB, 83.000 MiB/s  /home/ann…folder/IMG_0001.jpg");
        assert!(
            first.line(200).ends_with("  /home/ann/pictures/2026/summer/a very long name of a folder/IMG_0001.jpg")
        );
    }

    #[test]
    fn a_part_is_counted_by_bytes_where_they_are_known() {
        let mut moment = Moment::default();
        assert_eq!(moment.fraction(), None);
        moment.expected.entries = 4;
        moment.progress.entries_done = 1;
        assert_eq!(moment.fraction(), Some(0.25));
        assert_eq!(moment.line(49), " 25.0 %  1 / 4 entries");
        moment.expected.bytes = 100;
        moment.progress.bytes_done = 150;
        assert_eq!(moment.fraction(), Some(1.0));
    }

    #[test]
    fn a_path_is_shortened_in_its_middle_and_wide_letters_have_room() {
        assert_eq!(shortened("/short", 12), "/short");
        assert_eq!(shortened("/a/long/path/file.txt", 13), "/a/l…file.txt");
        let wide = shortened(&"漢".repeat(40), 13);
        assert!(columns_of(&wide) <= 13 && wide.contains('…'), "{wide}");
    }
}
