//! Builds nasty trees by seed: everything a file system can hold that a backup tool could stumble over.

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

/// A small reproducible generator.
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// So many bytes, compressible or not.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        let dull = self.below(3) == 0;
        while bytes.len() < count {
            let word = self.next();
            bytes.extend_from_slice(&if dull { (word & 0x0303_0303).to_le_bytes() } else { word.to_le_bytes() });
        }
        bytes.truncate(count);
        bytes
    }
}

/// Builds a nasty tree in the empty folder `root`; returns what this machine or user could not make.
pub fn build(seed: u64, root: &Path) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let mut missing = Vec::new();
    let mut try_to = |what: &str, result: rustix::io::Result<()>| {
        if let Err(errno) = result {
            missing.push(format!("{what}: {errno}"));
        }
    };
    plain(&mut dice, root);
    names(&mut dice, root);
    sparse(&mut dice, root);
    let links = root.join("links");
    dir(&links);
    write(&links.join("first"), &dice.bytes(5000));
    for name in ["second", "third"] {
        std::fs::hard_link(links.join("first"), links.join(name)).expect("a hard link");
    }
    dir(&root.join("links2"));
    std::fs::hard_link(links.join("first"), root.join("links2/fourth")).expect("a hard link");
    symlink("first", links.join("to-file")).expect("a link");
    symlink("/nowhere/at all", links.join("dangling")).expect("a link");
    symlink("..", links.join("to-parent")).expect("a link");
    symlink(OsStr::from_bytes(b"bad \xff\xfe"), links.join("bad-target")).expect("a link");
    let special = root.join("special");
    dir(&special);
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(CWD, special.join(name), kind, Mode::from_raw_mode(0o640), device)
    };
    try_to("fifo", node("fifo", rustix::fs::FileType::Fifo, 0));
    try_to("socket", node("socket", rustix::fs::FileType::Socket, 0));
    try_to("char device", node("null", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3)));
    try_to("block device", node("loop", rustix::fs::FileType::BlockDevice, rustix::fs::makedev(7, 200)));
    modes(&mut dice, root);
    for (what, result) in attributes(&mut dice, root) {
        try_to(what, result);
    }
    if rustix::process::geteuid().is_root() {
        for (name, uid, gid) in [("special/fifo", 1234, 4321), ("links/first", 4242, 0), ("links/dangling", 77, 78)] {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            let at = root.join(name);
            try_to("owner", rustix::fs::chownat(CWD, &at, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW));
        }
        // Changing the owner takes these bits away.
        mode(&root.join("modes/setuid"), 0o4755);
    }
    times(&mut dice, root, Path::new(""));
    mode(&root.join("modes/shut"), 0o555);
    missing
}

fn plain(dice: &mut Dice, root: &Path) {
    for (name, length) in [("empty", 0), ("one", 1), ("small", 4095), ("page", 4096), ("large", 700_001)] {
        write(&root.join(name), &dice.bytes(length));
    }
    dir(&root.join("empty-folder"));
    let many = root.join("many");
    dir(&many);
    let same = dice.bytes(3000);
    for number in 0..60 {
        let length = usize::try_from(dice.below(9000)).expect("a small number");
        let bytes = if number % 7 == 0 { same.clone() } else { dice.bytes(length) };
        write(&many.join(format!("f{number}")), &bytes);
    }
    let mut deep = root.join("deep");
    for _ in 0..120 {
        dir(&deep);
        deep.push("d");
    }
    write(&deep, b"at the bottom");
}

fn names(dice: &mut Dice, root: &Path) {
    let names = root.join("names");
    dir(&names);
    let odd: [&[u8]; 9] =
        [b"bad \xff\xc3\x28 utf8", b" ", b"new\nline", b"-rf", b"a-b", b"a", b"a!", b"*?[x]", b"back\\slash"];
    for name in odd {
        write(&names.join(OsStr::from_bytes(name)), &dice.bytes(17));
    }
    write(&names.join("x".repeat(255)), b"long name");
    let long = names.join("y".repeat(255));
    dir(&long);
    write(&long.join("z".repeat(255)), b"long path");
    let mut latin = b"dir \xe9".to_vec();
    latin.truncate(5);
    let latin = names.join(OsStr::from_bytes(&latin));
    dir(&latin);
    write(&latin.join("in"), b"inside");
}

fn sparse(dice: &mut Dice, root: &Path) {
    let holes = root.join("holes");
    dir(&holes);
    let file = File::create(holes.join("all-hole")).expect("a file");
    file.set_len(3 << 20).expect("a length");
    let file = File::create(holes.join("islands")).expect("a file");
    for offset in [0u64, 1 << 20, (5 << 20) + 4096] {
        file.write_all_at(&dice.bytes(20_000), offset).expect("bytes");
    }
    file.set_len((9 << 20) + 1).expect("a length");
    write(&holes.join("zeros"), &vec![0u8; 300_000]);
}

fn modes(dice: &mut Dice, root: &Path) {
    let modes = root.join("modes");
    dir(&modes);
    // Only root could read the file back.
    let secret = if rustix::process::geteuid().is_root() { 0o000 } else { 0o400 };
    for (name, bits) in
        [("setuid", 0o4755), ("setgid", 0o2755), ("secret", secret), ("read-only", 0o444), ("all", 0o777)]
    {
        write(&modes.join(name), &dice.bytes(100));
        mode(&modes.join(name), bits);
    }
    for (name, bits) in [("sticky", 0o1777), ("group", 0o2775), ("private", 0o700), ("shut", 0o755)] {
        dir(&modes.join(name));
        write(&modes.join(name).join("inside"), &dice.bytes(50));
        mode(&modes.join(name), bits);
    }
}

fn attributes(dice: &mut Dice, root: &Path) -> Vec<(&'static str, rustix::io::Result<()>)> {
    let folder = root.join("attributes");
    dir(&folder);
    write(&folder.join("file"), b"with attributes");
    dir(&folder.join("folder"));
    write(&folder.join("listed"), b"with an access list");
    let value = dice.bytes(900);
    let set =
        |name: &str, key: &str, value: &[u8]| rustix::fs::setxattr(folder.join(name), key, value, XattrFlags::empty());
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, bits, id) in
        [(1u16, 6u16, u32::MAX), (2, 4, 1234), (4, 4, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)]
    {
        list.extend_from_slice(&tag.to_le_bytes());
        list.extend_from_slice(&bits.to_le_bytes());
        list.extend_from_slice(&id.to_le_bytes());
    }
    vec![
        ("user attribute", set("file", "user.comment", b"hello")),
        ("binary attribute", set("file", "user.binary", &value)),
        ("empty attribute", set("file", "user.empty", b"")),
        ("folder attribute", set("folder", "user.comment", b"folder")),
        ("access list", set("listed", "system.posix_acl_access", &list)),
        ("default access list", set("folder", "system.posix_acl_default", &list)),
    ]
}

/// Gives everything an odd time, innermost first: long ago, before 1970, with all nanoseconds, in the future.
fn times(dice: &mut Dice, root: &Path, below: &Path) {
    let path = root.join(below);
    let is_dir = std::fs::symlink_metadata(&path).expect("it was listed").is_dir();
    if is_dir {
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(&path).expect("a folder").map(|item| item.expect("an item").file_name().into()).collect();
        names.sort();
        for name in names {
            times(dice, root, &below.join(name));
        }
    }
    let seconds = match dice.below(4) {
        0 => -86_400 * 365 * 20,
        1 => 4_000_000_000,
        _ => 1_500_000_000,
    } + i64::try_from(dice.below(100_000)).expect("a small number");
    let nanos = i64::try_from(dice.below(1_000_000_000)).expect("a small number");
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("times can be set");
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file can be written");
}

fn dir(path: &Path) {
    std::fs::create_dir(path).expect("a folder can be made");
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("a mode can be set");
}
