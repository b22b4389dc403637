//! What `backup` reads: folders with everything that is left out, or a stream.

use crate::args::BackupArgs;
use crate::commands::Context;
use crate::files_from;
use crate::location::Place;
use crate::show::Failure;
use strongroom::BackupBuilder;
use strongroom::EntryPath;
use strongroom::FolderSource;
use strongroom::Location;
use strongroom::ReaderSource;
use strongroom::Repository;
use strongroom_process::CommandSource;

/// The builder around a stream.
pub fn stream(repository: &Repository, args: &BackupArgs, name: EntryPath) -> Result<BackupBuilder, Failure> {
    if args.stdin {
        return Ok(repository.backup(ReaderSource::new(name, std::io::stdin())));
    }
    let mut words = args.paths.iter().map(|word| word.clone().into_os_string());
    let program = words.next().ok_or_else(|| Failure::usage("the command is missing after --stdin-from-command --"))?;
    Ok(repository.backup(CommandSource::new(program, words).path(name)))
}

/// The folders to read, with everything that is left out.
pub fn folders(context: &Context, place: &Place, args: &BackupArgs) -> Result<FolderSource, Failure> {
    let mut paths = args.paths.clone();
    paths.extend(files_from::paths(args)?);
    if paths.is_empty() {
        return Err(
            Failure::usage("nothing to back up").hint("name files or folders, or see 'strongroom backup --help'")
        );
    }
    let mut exclude = args.exclude.clone();
    exclude.extend(files_from::patterns(&args.exclude_file)?);
    let mut iexclude = args.iexclude.clone();
    iexclude.extend(files_from::patterns(&args.iexclude_file)?);
    // A repository inside what is backed up would grow by itself with every snapshot.
    let own = match Location::parse(&place.location) {
        Ok(Location::Local(folder)) => Some(folder),
        _ => None,
    };
    for folder in own.into_iter().chain(context.cache_folder()) {
        if let Some(pattern) = files_from::inside(&folder, &paths) {
            if context.show.verbose > 0 {
                context.show.note(&format!("leaving out {}: it belongs to strongroom", folder.display()));
            }
            exclude.push(pattern);
        }
    }
    let here =
        std::env::current_dir().map_err(|cause| Failure::usage(format!("cannot tell the current folder: {cause}")))?;
    let source = FolderSource::new(paths)
        .relative_to(here)
        .exclude(exclude)
        .iexclude(iexclude)
        .exclude_if_present(args.exclude_if_present.clone())
        .exclude_caches(args.exclude_caches)
        .gitignore(args.gitignore)
        .one_file_system(args.one_file_system);
    Ok(args.exclude_larger_than.into_iter().fold(source, FolderSource::exclude_larger_than))
}
