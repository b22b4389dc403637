//! Whether something is mounted on a directory: another file system, or another part of the same one.

use rustix::fs::AtFlags;
use rustix::fs::StatxFlags;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// True when a directory is not of the same mount as the one above it. A bind mount has the device of what it shows;
/// only the kernel's number of the mount tells it, from Linux 5.8 on.
pub(crate) fn is_mounted(directory: impl AsFd, above: impl AsFd) -> Result<bool, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let own = rustix::fs::statx(directory, c"", AtFlags::EMPTY_PATH, wanted)?;
    let above = rustix::fs::statx(above, c"", AtFlags::EMPTY_PATH, wanted)?;
    let is_told = own.stx_mask & above.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok((own.stx_dev_major, own.stx_dev_minor) != (above.stx_dev_major, above.stx_dev_minor)
        || is_told && own.stx_mnt_id != above.stx_mnt_id)
}
