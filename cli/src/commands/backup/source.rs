//! What `backup` reads: folders with everything that is left out, or a stream.

use crate::args::BackupArgs;
use crate::commands::Context;
use crate::files_from;
use crate::show::Failure;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::PathBuf;
use strongroom::BackupBuilder;
use strongroom::EntryPath;
use strongroom::FolderSource;
use strongroom::Location;
use strongroom::ReaderSource;
use strongroom::Repository;
use strongroom::StreamEntry;
use strongroom_process::CommandSource;
use strongroom_service::Place;
use strongroom_service::SECRETS;

/// The builder around a stream.
pub fn stream(repository: &Repository, args: &BackupArgs, name: EntryPath) -> Result<BackupBuilder, Failure> {
    let entry = StreamEntry::new(name).refuse_empty(!args.allow_empty);
    if args.stdin {
        // Not through a buffer of this process: what lies in there, nobody can wait for.
        let input = std::io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|why| Failure::failed("cannot read standard input").because(why))?;
        return Ok(repository.backup(ReaderSource::of_descriptor(entry, input)));
    }
    let mut words = args.paths.iter().map(|word| word.clone().into_os_string());
    let program = words.next().ok_or_else(|| Failure::usage("the command is missing after --stdin-from-command --"))?;
    let source = CommandSource::new(program, words).entry(entry);
    Ok(repository.backup(SECRETS.into_iter().fold(source, CommandSource::withhold)))
}

/// The folders to read, with everything that is left out.
pub fn folders(context: &Context, place: &Place, args: &BackupArgs) -> Result<FolderSource, Failure> {
    let mut paths = args.paths.clone();
    paths.extend(files_from::paths(args)?);
    let here = match std::env::current_dir() {
        Ok(here) => here,
        // It may be deleted: then nobody needs it who names what to back up by absolute paths.
        Err(_) if paths.iter().all(|path| path.is_absolute()) => PathBuf::from("/"),
        Err(cause) => return Err(Failure::usage("cannot tell the current folder").because(cause)),
    };
    let mut paths: Vec<_> = paths.into_iter().map(|path| FolderSource::meant(&path, &here)).collect();
    if paths.is_empty() {
        return Err(
            Failure::usage("nothing to back up").hint("name files or folders, or see 'strongroom backup --help'")
        );
    }
    // A repository inside what is backed up would grow by itself with every snapshot.
    let own = match Location::parse_os(&place.location) {
        Ok(Location::Local(folder)) => Some(folder),
        _ => None,
    };
    if let Some(own) = &own {
        let (own, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| files_from::is_within(path, own));
        if let (Some(path), true) = (own.first(), others.is_empty()) {
            return Err(Failure::usage(format!("cannot back up {}: it belongs to the repository", path.display()))
                .because("a repository inside itself would grow with every snapshot, and save nothing")
                .hint("copy the repository to another disk with tools for files"));
        }
        for path in own {
            context.show.note(&format!("leaving out {}: it belongs to the repository", path.display()));
        }
        paths = others;
    }
    warn_of_links(context, &paths);
    let mut source = excluding(FolderSource::new(paths.clone()).relative_to(here), args)?;
    for folder in own.into_iter().chain(context.cache_folder()) {
        if let Some(pattern) = files_from::inside(&folder, &paths) {
            if context.show.verbose > 0 {
                context.show.note(&format!("leaving out {}: it belongs to strongroom", folder.display()));
            }
            source = source.exclude_because(pattern, "it belongs to strongroom".to_owned());
        }
    }
    source = source
        .exclude_if_present(args.exclude_if_present.clone())
        .exclude_caches(args.exclude_caches)
        .gitignore(args.gitignore)
        .one_file_system(args.one_file_system)
        .require_all(args.require_all_sources);
    Ok(args.exclude_larger_than.into_iter().fold(source, FolderSource::exclude_larger_than))
}

/// Says of links and devices given by name that only they themselves are backed up: seldom what was meant.
fn warn_of_links(context: &Context, paths: &[PathBuf]) {
    let real = |path: &PathBuf| std::fs::canonicalize(path).ok();
    let mut taken: Option<HashSet<PathBuf>> = None;
    for path in paths {
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_file() || found.is_dir() {
            continue;
        }
        if !found.is_symlink() {
            context.show.warn(&format!("{} is no file and no folder: nothing that is in it is read", path.display()));
            continue;
        }
        let Some(target) = real(path) else { continue };
        let is_link = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let taken = taken.get_or_insert_with(|| paths.iter().filter(|path| !is_link(path)).filter_map(real).collect());
        if !target.ancestors().any(|above| taken.contains(above)) {
            let (link, target) = (path.display(), target.display());
            context.show.warn(&format!(
                "{link} is a symbolic link and only the link is backed up: name {target} to back up what it leads to"
            ));
        }
    }
}

/// The source without what patterns leave out; each pattern is told by the option it came with.
fn excluding(mut source: FolderSource, args: &BackupArgs) -> Result<FolderSource, Failure> {
    for pattern in &args.exclude {
        source = source.exclude_because(pattern.clone(), format!("by --exclude '{}'", pattern.display()));
    }
    for file in &args.exclude_file {
        for pattern in files_from::patterns(std::slice::from_ref(file))? {
            let reason = format!("by --exclude-file {}, '{}'", file.display(), pattern.display());
            source = source.exclude_because(pattern, reason);
        }
    }
    for pattern in &args.iexclude {
        source = source.iexclude_because(pattern.clone(), format!("by --iexclude '{}'", pattern.display()));
    }
    for file in &args.iexclude_file {
        for pattern in files_from::patterns(std::slice::from_ref(file))? {
            let reason = format!("by --iexclude-file {}, '{}'", file.display(), pattern.display());
            source = source.iexclude_because(pattern, reason);
        }
    }
    Ok(source)
}
