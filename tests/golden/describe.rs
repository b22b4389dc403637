//! A repository as text, every byte of every entry included, to be compared with what was written down once.

use super::make;
use super::source;
use std::fmt::Write;
use strongroom::Content;
use strongroom::Entry;
use strongroom::FileKind;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::Timestamp;
use strongroom::Verdict;

fn time(time: Timestamp) -> String {
    format!("{}.{:09}", time.seconds, time.nanoseconds)
}

fn raw(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// FNV-1a over words of eight bytes: tells content apart without a library that could itself change.
fn checksum(bytes: &[u8]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x100_0000_01b3);
    }
    format!("{} bytes {hash:016x}", bytes.len())
}

fn kind(kind: &FileKind) -> String {
    match kind {
        FileKind::File => "file".to_owned(),
        FileKind::Directory => "directory".to_owned(),
        FileKind::Symlink { target } => format!("symlink {}", raw(target)),
        FileKind::Fifo => "fifo".to_owned(),
        FileKind::Socket => "socket".to_owned(),
        FileKind::CharDevice { rdev } => format!("character device {rdev:#x}"),
        FileKind::BlockDevice { rdev } => format!("block device {rdev:#x}"),
        FileKind::Stream => "stream".to_owned(),
        other => panic!("a kind that the golden repository does not have: {other:?}"),
    }
}

fn content(content: &Content) -> String {
    match content {
        Content::Empty => "nothing".to_owned(),
        Content::Inline(chunks) => {
            let chunks = chunks.iter().map(|chunk| format!("{}:{}", chunk.id, chunk.length));
            chunks.collect::<Vec<_>>().join(" ")
        }
        Content::Tree { root, length, chunks, bytes } => format!("tree {root}:{length} chunks={chunks} bytes={bytes}"),
    }
}

fn entry(entry: &Entry) -> String {
    let meta = &entry.metadata;
    let mut text = format!("entry {} {}\n", raw(entry.path.as_bytes()), kind(&meta.kind));
    let mut line = |line: String| writeln!(text, "  {line}").expect("memory");
    line(format!("mode={:o} owner={}:{}", meta.mode, meta.uid, meta.gid));
    line(format!("names={}:{}", raw(&meta.user), raw(&meta.group)));
    line(format!("times={} {} {:?}", time(meta.modified), time(meta.changed), meta.born.map(time)));
    line(format!("size={} links={} device={:#x}", meta.size, meta.links, meta.device));
    line(format!("inode={} flags={:#x}", meta.inode, meta.flags));
    for xattr in &meta.xattrs {
        line(format!("xattr {} {}", raw(&xattr.name), raw(&xattr.value)));
    }
    for extent in meta.extents.iter().flatten() {
        line(format!("extent {}+{}", extent.offset, extent.length));
    }
    for warning in &entry.warnings {
        line(format!("warning {warning}"));
    }
    if let Some(chunking) = &entry.chunking {
        line(format!("cut {chunking:?}"));
    }
    if let Some(token) = &entry.change_token {
        line(format!("token {}", raw(token)));
    }
    line(format!("content {}", content(&entry.content)));
    text
}

fn record(snapshot: &Snapshot) -> String {
    let counts = &snapshot.counts;
    let verdict = match &snapshot.verdict {
        Verdict::Whole => "whole".to_owned(),
        Verdict::Partial(reasons) => format!("partial {reasons:?}"),
    };
    let paths: Vec<String> = snapshot.paths.iter().map(|path| raw(path)).collect();
    let root = snapshot.root.map(|root| format!("{}:{}", root.id, root.length));
    [
        format!("snapshot {} session={}", snapshot.id, snapshot.session),
        format!("  host={} user={} source={}", snapshot.host, snapshot.user, snapshot.source_kind),
        format!("  paths={paths:?} excludes={:?}", snapshot.excludes),
        format!("  tags={:?} label={:?}", snapshot.tags, snapshot.label),
        format!("  started={} finished={}", time(snapshot.started), time(snapshot.finished)),
        format!("  parent={:?} chunker={}", snapshot.parent.map(|id| id.to_string()), snapshot.chunker),
        format!("  root={root:?}"),
        format!("  program={}", snapshot.program),
        format!("  entries={} files={} directories={}", counts.entries, counts.files, counts.directories),
        format!("  bytes={} new={} stored={}", counts.bytes, counts.bytes_new, counts.bytes_stored),
        format!("  new={} changed={}", counts.entries_new, counts.entries_changed),
        format!("  unchanged={}", counts.entries_unchanged),
        format!("  verdict={verdict}"),
        format!("  statement={:?}", snapshot.statement),
        format!("  metadata={:?}", snapshot.metadata),
    ]
    .join("\n")
}

/// Everything that can be told of a repository through its public interface. Content is compared with what the
/// source gave on the way.
pub async fn repository(repository: &Repository) -> String {
    let config = repository.inspect_config();
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("memory");
    say(format!("repository {} created {}", repository.id(), time(config.created)));
    say(format!("chunker {:?} pack bytes {}", config.chunker, config.pack_bytes));
    for slot in repository.keys().await.expect("slots") {
        say(format!("slot {} {:?} {} {}", slot.id, slot.kind, time(slot.created), slot.label));
    }
    let snapshots = repository.snapshots().await.expect("snapshots");
    let sources = [source::everything(), source::others(), source::changed()];
    assert_eq!(make::plans(&snapshots).len(), snapshots.len());
    for (snapshot, source) in snapshots.iter().zip(sources) {
        say(record(snapshot));
        let mut entries = repository.view(snapshot).await.expect("a view").walk(None);
        let mut count = 0;
        while let Some(found) = entries.next().await.expect("an entry") {
            let mut reader = entries.open(&found);
            let mut bytes = Vec::new();
            while let Some(part) = reader.next().await.expect("content") {
                bytes.extend_from_slice(&part);
            }
            assert!(bytes == source::content(&source, found.path.as_bytes()), "{}", found.path);
            say(format!("{}  {}", entry(&found), checksum(&bytes)));
            count += 1;
        }
        assert_eq!(count, source.len());
    }
    text
}
