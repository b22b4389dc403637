//! What a restore never touches, wherever it lies: the repository it reads from, and what its caller needs besides.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::restore::judge::Standing;
use crate::restore::options::RestoreOptions;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::Path;

/// Files and folders that are left alone, known by what they are and not by their names: one may be reached by several.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Spared>);

#[derive(Debug)]
struct Spared {
    device: u64,
    inode: u64,
    is_repository: bool,
}

impl Spare {
    /// Looks up what is to be spared; what does not exist need not be. Something else that keeps it from being looked up
    /// is an error where strangers are to be deleted, for it might be one of them. A restore that only writes goes on:
    /// a backup leaves the repository and the cache out, so the snapshot has nothing to write in their place.
    pub(crate) fn find(options: &RestoreOptions) -> Result<Self> {
        let repository = options.repository.iter().map(|path| (path, true));
        let mut found = Vec::new();
        for (path, is_repository) in repository.chain(options.spare.iter().map(|path| (path, false))) {
            // A link to it is spared as well: without the link the repository is not where it is looked for.
            for flags in [AtFlags::empty(), AtFlags::SYMLINK_NOFOLLOW] {
                match rustix::fs::statat(CWD, path, flags) {
                    Ok(stat) => found.push(Spared { device: stat.st_dev, inode: stat.st_ino, is_repository }),
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(errno) if options.delete => return Err(unknown(path, errno)),
                    Err(_) => {}
                }
            }
        }
        Ok(Self(found))
    }

    /// Why this is left alone, if it is.
    pub(crate) fn why(&self, standing: &Standing) -> Option<&'static str> {
        self.of(standing.device, standing.inode).map(|found| match found.is_repository {
            true => "it is the repository that is restored from",
            false => "strongroom needs it for this repository",
        })
    }

    fn of(&self, device: u64, inode: u64) -> Option<&Spared> {
        self.0.iter().find(|known| (known.device, known.inode) == (device, inode))
    }

    /// Refuses a target, which need not exist yet, that is the repository or lies in it.
    pub(crate) fn refuse(&self, target: &Path) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = |path: &Path| if path.as_os_str().is_empty() { Path::new(".").into() } else { path.to_owned() };
        let opened = target.ancestors().find_map(|path| rustix::fs::open(here(path), flags, Mode::empty()).ok());
        let Some(mut at) = opened else { return Ok(()) };
        let mut below = None;
        loop {
            let failed = |errno: Errno| {
                let text = format!("cannot tell whether '{}' lies in the repository", target.display());
                Error::new(Kind::TargetFailed, text).because(std::io::Error::from(errno))
            };
            let stat = rustix::fs::fstat(&at).map_err(failed)?;
            let now = (stat.st_dev, stat.st_ino);
            if self.of(now.0, now.1).is_some_and(|found| found.is_repository) {
                let text = format!("refusing to restore into '{}': it belongs to the repository", target.display());
                return Err(Error::new(Kind::Invalid, text)
                    .because("what is restored there would write over the repository it comes from"));
            }
            if below == Some(now) {
                return Ok(());
            }
            below = Some(now);
            at = rustix::fs::openat(&at, "..", flags, Mode::empty()).map_err(failed)?;
        }
    }
}

fn unknown(path: &Path, errno: Errno) -> Error {
    let text = format!("cannot tell where '{}' is, which must not be deleted", path.display());
    Error::new(Kind::TargetFailed, text)
        .because(std::io::Error::from(errno))
        .advise("make it readable for whoever restores, or restore without --delete")
}
