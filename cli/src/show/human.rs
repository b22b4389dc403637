//! Numbers, times, names and tables as people read them.

use crate::show::harmless;
use crate::show::lossy;
use comfy_table::Cell;
use comfy_table::CellAlignment;
use comfy_table::ColumnConstraint;
use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use jiff::tz::TimeZone;
use std::io::IsTerminal;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Timestamp;
use terminal_size::Width;
use terminal_size::terminal_size_of;

/// Columns that a word of a table has at least; longer ones are broken where there is no room.
const WORD_COLUMNS_MAX: usize = 24;

/// Bytes with a binary unit: `512 B`, `1.500 KiB`.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = "KiB";
    for next in units.into_iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.3} {unit}")
}

/// Seconds as `m:ss` or `h:mm:ss`.
pub fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") }
}

/// How long something has to wait, in the largest unit that says it well: `36 hours`, `3 days`.
pub fn waiting(seconds: u64) -> String {
    match seconds {
        0..120 => counted(seconds, "second"),
        120..7_200 => counted(seconds.div_ceil(60), "minute"),
        7_200..172_800 => counted(seconds.div_ceil(3_600), "hour"),
        _ => counted(seconds.div_ceil(86_400), "day"),
    }
}

/// A measured stretch of seconds: tenths while they matter.
pub fn elapsed(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.1} s") } else { duration(seconds as u64) }
}

/// How many of what: `1 snapshot`, `2 snapshots`, `3 entries`, `4 days`.
pub fn counted(count: impl Into<u64>, one: &str) -> String {
    let count = count.into();
    match (count, one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {one}s"),
    }
}

/// Local date and time, to the second.
pub fn clock(time: Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, 0) {
        Ok(instant) => instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => format!("@{}", time.seconds),
    }
}

/// The first eight digits of an identifier.
pub fn short(id: &impl std::fmt::Display) -> String {
    id.to_string().chars().take(8).collect()
}

/// An entry's path as people wrote it: absolute.
pub fn path(path: &EntryPath) -> String {
    format!("/{}", lossy(path.as_bytes()))
}

/// One word for what an entry is.
pub fn type_name(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "dir",
        FileKind::Symlink { .. } => "symlink",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
        FileKind::CharDevice { .. } => "chardev",
        FileKind::BlockDevice { .. } => "dev",
        FileKind::Stream => "stream",
        _ => "other",
    }
}

/// Type and permissions as `ls -l` writes them.
pub fn mode(metadata: &Metadata) -> String {
    let kind = match metadata.kind {
        FileKind::Directory => 'd',
        FileKind::Symlink { .. } => 'l',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
        FileKind::CharDevice { .. } => 'c',
        FileKind::BlockDevice { .. } => 'b',
        _ => '-',
    };
    let mut text = String::from(kind);
    // Each special bit changes the "execute" letter of its group.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = metadata.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (metadata.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A plain table; columns named in `right` are aligned to the right. On a terminal it is no wider than that.
pub fn table(head: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let columns = std::io::stdout().is_terminal().then(|| terminal_size_of(std::io::stdout())).flatten();
    table_within(columns.map(|(Width(columns), _)| columns), head, rows, right)
}

/// The same in so many columns, where lines can be broken between words.
fn table_within(columns: Option<u16>, head: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    // Before it is laid out: what is spelled out takes more room.
    let spelled = |row: Vec<String>| row.iter().map(|text| harmless::lines(text)).collect::<Vec<_>>();
    let rows: Vec<Vec<_>> = rows.into_iter().map(spelled).collect();
    let longest = |text: &str| text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
    let mut words: Vec<usize> = head.iter().map(|text| longest(text)).collect();
    for row in &rows {
        words.iter_mut().zip(row).for_each(|(most, text)| *most = longest(text).max(*most));
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(columns) = columns {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    table.set_header(head.iter().copied().map(Cell::new));
    for row in rows {
        table.add_row(row.into_iter().map(Cell::new));
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (column, word) in words.into_iter().enumerate().filter(|_| columns.is_some()) {
        // One space stands on each side of a cell. A very long word may be broken, or nothing else has room.
        let least = u16::try_from(word.min(WORD_COLUMNS_MAX) + 2).unwrap_or(u16::MAX);
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::LowerBoundary(comfy_table::Width::Fixed(least)));
        }
    }
    let trimmed: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    trimmed.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.000 KiB"),
            (1536, "1.500 KiB"),
            (1 << 20, "1.000 MiB"),
            (5 << 30, "5.000 GiB"),
            (u64::MAX, "16.000 EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        for (count, one, text) in [
            (0_u64, "file", "0 files"),
            (1, "file", "1 file"),
            (2, "file", "2 files"),
            (1, "entry", "1 entry"),
            (5, "entry", "5 entries"),
            (10, "day", "10 days"),
        ] {
            assert_eq!(counted(count, one), text);
        }
    }

    #[test]
    fn durations_grow_hours_when_they_need_them() {
        assert_eq!(duration(5), "0:05");
        assert_eq!(duration(754), "12:34");
        assert_eq!(duration(3_661), "1:01:01");
    }

    #[test]
    fn waiting_is_told_in_words() {
        for (seconds, text) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (3_600, "60 minutes"),
            (129_600, "36 hours"),
            (172_800, "2 days"),
            (172_801, "3 days"),
        ] {
            assert_eq!(waiting(seconds), text);
        }
    }

    #[test]
    fn modes_read_like_ls() {
        let mut metadata = Metadata::new(FileKind::Directory);
        metadata.mode = 0o1777;
        assert_eq!(mode(&metadata), "drwxrwxrwt");
        metadata.kind = FileKind::File;
        metadata.mode = 0o4644;
        assert_eq!(mode(&metadata), "-rwSr--r--");
    }

    #[test]
    fn tables_break_between_words_at_every_width() {
        let rows = || {
            let row = |id: &str, why: &str| {
                ["keep", id, "2026-03-29 12:00:00", "home-server", why].map(str::to_owned).to_vec()
            };
            vec![
                row("0a1b2c3d", "last, daily: newest of 2026-03-29, weekly: newest of week 2026-W13"),
                row("4e5f6a7b", "last"),
            ]
        };
        let head = ["", "ID", "Time", "Host", "Because of"];
        let whole = table_within(None, &head, rows(), &[]);
        assert_eq!(whole.lines().count(), 3, "without a terminal a row is a line:\n{whole}");
        let words: Vec<&str> = whole.split_whitespace().collect();
        for columns in [60, 80, 120] {
            let table = table_within(Some(columns), &head, rows(), &[]);
            assert!(table.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}:\n{table}");
            assert!(table.split_whitespace().all(|word| words.contains(&word)), "{columns}:\n{table}");
        }
    }
}
