//! `dump`: a file, or a folder as an archive, to standard output or into a new file.

use crate::archive::Pack;
use crate::archive::TarPack;
use crate::archive::ZipPack;
use crate::args::Archive;
use crate::args::DumpArgs;
use crate::args::entry_path;
use crate::commands::Context;
use crate::commands::Gaps;
use crate::commands::ls;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Output;
use crate::show::Show;
use crate::show::counted;
use crate::show::message;
use crate::show::must_be_read;
use crate::show::path;
use crate::show::told;
use crate::show::type_name;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use strongroom::Entry;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotView;

/// Writes what was asked for. A file that could not be written to its end is removed; an archive that only lacks what
/// the catalog has lost is kept.
pub async fn run(context: &Context, args: DumpArgs) -> Result<Exit, Failure> {
    let below = path_of(&args)?;
    let repository: Repository = context.open().await?;
    let snapshot = context.resolve(&repository, &args.selector.snapshot, &args.filter.filter()).await?;
    let view = repository.view(&snapshot).await?;
    let entry = match &below {
        Some(below) => Some(view.entry(below).await?.ok_or_else(|| ls::missing(below, &snapshot))?),
        None => None,
    };
    let mut gaps = Gaps::new(&context.show);
    let Some(target) = &args.target else {
        if entry.as_ref().is_none_or(|entry| !entry.metadata.has_content()) && std::io::stdout().is_terminal() {
            return Err(Failure::usage("an archive cannot be shown on a terminal")
                .hint("name a file with --target, or use '> FILE'"));
        }
        must_be_read("the content").map_err(|failure| {
            failure.hint("leave standard output open, name a file with --target, or use '> /dev/null'")
        })?;
        let mut out = BufWriter::with_capacity(1 << 20, Output::standard());
        write(&mut gaps, &view, entry.as_ref(), &mut out, args.archive).await?;
        return Ok(gaps.exit());
    };
    let failed = |why: std::io::Error| Failure::failed(format!("cannot write {}", target.display())).because(why);
    let file = OpenOptions::new().write(true).create_new(true).open(target).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let result = write(&mut gaps, &view, entry.as_ref(), &mut out, args.archive).await;
    if let Err(failure) = result.and_then(|()| out.get_ref().sync_all().map_err(failed)) {
        // Half an archive under a good name is worse than none.
        let _ = std::fs::remove_file(target);
        return Err(failure);
    }
    let bytes = out.get_ref().metadata().map_err(failed)?.len();
    told(tell(context, &snapshot, target, bytes), || format!("{} is written", target.display()))?;
    Ok(gaps.exit())
}

/// People see the file; a script that asked for JSON is told of it.
fn tell(context: &Context, snapshot: &Snapshot, target: &Path, bytes: u64) -> Result<(), Failure> {
    if !context.show.json {
        return Ok(());
    }
    let mut value = message("dumped");
    value.insert("snapshot_id".into(), snapshot.id.to_string().into());
    value.insert("file".into(), target.display().to_string().into());
    value.insert("bytes".into(), bytes.into());
    context.show.json(&Value::Object(value))
}

/// The path below the part the selector names.
fn path_of(args: &DumpArgs) -> Result<Option<EntryPath>, Failure> {
    let named = entry_path(&args.inside).map_err(Failure::usage)?;
    match (&args.selector.below, named) {
        (Some(part), Some(rest)) => {
            let joined = [part.as_bytes(), rest.as_bytes()].join(&b'/');
            EntryPath::parse(&joined).map(Some).map_err(|why| Failure::usage(why.to_string()))
        }
        (part, rest) => Ok(part.clone().or(rest)),
    }
}

async fn write(
    gaps: &mut Gaps<'_>,
    view: &SnapshotView,
    entry: Option<&Entry>,
    out: &mut (impl Write + Send),
    archive: Archive,
) -> Result<(), Failure> {
    match entry {
        Some(entry) if entry.metadata.has_content() => {
            let mut content = view.open(entry);
            while let Some(bytes) = content.next().await? {
                out.write_all(&bytes)?;
            }
        }
        Some(entry) if entry.metadata.kind != FileKind::Directory => {
            return Err(Failure::usage(format!("{} is neither a file nor a folder", crate::show::path(&entry.path))));
        }
        _ => {
            let below = entry.map(|entry| &entry.path);
            match archive {
                Archive::Tar => pack(gaps, view, below, TarPack::new(&mut *out)).await?,
                Archive::Zip => pack(gaps, view, below, ZipPack::new(&mut *out)).await?,
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// All entries below a folder, with their paths in the snapshot.
async fn pack(
    gaps: &mut Gaps<'_>,
    view: &SnapshotView,
    below: Option<&EntryPath>,
    mut archive: impl Pack,
) -> Result<(), Failure> {
    let mut entries = view.walk(below);
    let mut loss = Loss::default();
    while let Some(entry) = gaps.next(&mut entries).await? {
        loss.note(gaps.show(), &entry, &archive);
        let mut lacks = Vec::new();
        let has_bytes = archive.begin(&entry, &mut lacks)?;
        loss.name(gaps.show(), &entry, &lacks);
        if !has_bytes {
            continue;
        }
        let mut content = entries.open(&entry);
        while let Some(bytes) = content.next().await? {
            archive.data(&bytes)?;
        }
        archive.end()?;
    }
    archive.finish()?;
    loss.tell(gaps.show());
    Ok(())
}

/// Things named one by one that an archive lacks.
const NAMED_MAX: u64 = 20;

/// What an archive cannot say of what is in the snapshot.
#[derive(Default)]
struct Loss {
    left_out: u64,
    /// Other things said of single entries.
    named: u64,
    /// Files with several names that are in the archive already.
    linked: HashSet<(u64, u64)>,
    copies: u64,
    filled: u64,
    bare: u64,
}

impl Loss {
    fn note(&mut self, show: &Show, entry: &Entry, archive: &impl Pack) {
        let metadata = &entry.metadata;
        if !archive.holds(&metadata.kind) {
            self.left_out += 1;
            if self.left_out <= NAMED_MAX {
                let kind = type_name(&metadata.kind);
                show.warn(&format!("{}: {kind} left out, archives of this kind have none", path(&entry.path)));
            }
        } else if !archive.is_faithful() {
            if metadata.has_content() && metadata.links > 1 && metadata.inode != 0 {
                self.copies += u64::from(!self.linked.insert((metadata.device, metadata.inode)));
            }
            self.filled += u64::from(metadata.extents.is_some());
            self.bare += u64::from(!metadata.xattrs.is_empty());
        }
    }

    /// What the archive cannot say of one entry.
    fn name(&mut self, show: &Show, entry: &Entry, lacks: &[String]) {
        for one in lacks {
            self.named += 1;
            if self.named <= NAMED_MAX {
                show.warn(&format!("{}: {one}", path(&entry.path)));
            }
        }
    }

    fn tell(&self, show: &Show) {
        if self.left_out > NAMED_MAX {
            show.warn(&format!("{} left out in all", counted(self.left_out, "entry")));
        }
        if self.named > NAMED_MAX {
            show.warn(&format!("{} of this kind were not shown", counted(self.named - NAMED_MAX, "warning")));
        }
        if self.copies > 0 {
            let many = counted(self.copies, "further name");
            show.warn(&format!("{many} of files became files of their own: hard links are not kept in the archive"));
        }
        if self.filled > 0 {
            let many = counted(self.filled, "file");
            show.warn(&format!("{many} with holes got zeros in their place: holes are not kept in the archive"));
        }
        if self.bare > 0 {
            let many = counted(self.bare, "entry");
            show.warn(&format!("{many} lost access lists or other attributes: they are not kept in the archive"));
        }
    }
}
