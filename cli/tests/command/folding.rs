//! A small file system that takes upper and lower case for one, as CIFS and vfat do: in memory, served over FUSE. It may also
//! give everything a new number at every look, and modes that are its own.

use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::path::PathBuf;

const ROOT: u64 = 1;
/// Bytes of one write, which the kernel keeps to.
const WRITE_BYTES_MAX: u32 = 64 << 10;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const EXIST: i32 = 17;
const NOENT: i32 = 2;
const NOSYS: i32 = 38;
const NOTEMPTY: i32 = 39;

/// A mounted one, gone with this value.
pub struct Folding(PathBuf);

impl Folding {
    /// Mounts one at a new folder; nothing where that is not allowed.
    pub fn mount(at: &Path) -> Option<Self> {
        Self::serve(at, None)
    }

    /// Mounts one that gives everything another number whenever it is looked at, files the mode 0600 and folders 0755.
    pub fn mount_unsteady(at: &Path) -> Option<Self> {
        Self::serve(at, Some(Cell::new(1 << 32)))
    }

    fn serve(at: &Path, unsteady: Option<Cell<u64>>) -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        std::fs::create_dir(at).expect("a folder");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = CString::new(options).expect("no NUL");
        rustix::mount::mount("folding", at, "fuse", MountFlags::empty(), options.as_c_str()).ok()?;
        std::thread::spawn(move || Server::new(unsteady).run(device));
        Some(Self(at.to_owned()))
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[derive(Default)]
struct Node {
    mode: u32,
    owner: (u32, u32),
    modified: (u64, u32),
    links: u32,
    data: Vec<u8>,
    /// The folded name, the name as it is listed, and the node.
    children: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
}

struct Server {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// The next number, where each look gets one, and modes are not kept.
    unsteady: Option<Cell<u64>>,
}

/// What a request gives: bytes, an error, or no reply at all.
type Reply = Result<Option<Vec<u8>>, i32>;

impl Server {
    fn new(unsteady: Option<Cell<u64>>) -> Self {
        let root = Node { mode: DIRECTORY | 0o755, links: 2, ..Node::default() };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, unsteady }
    }

    /// Answers until it is unmounted.
    fn run(mut self, mut device: File) {
        let mut buffer = vec![0; WRITE_BYTES_MAX as usize + 8192];
        while let Ok(length) = device.read(&mut buffer) {
            let request = &buffer[..length];
            let (head, body) = request.split_at(40);
            let (code, at) = (number(head, 4), long(head, 16));
            let (error, payload) = match self.answer(code, at, head, body) {
                Ok(None) => continue,
                Ok(Some(payload)) => (0, payload),
                Err(error) => (-error, Vec::new()),
            };
            let mut reply = (16 + u32::try_from(payload.len()).expect("small")).to_le_bytes().to_vec();
            reply.extend(error.to_le_bytes());
            reply.extend(&head[8..16]);
            reply.extend(payload);
            // Whoever asked may be gone.
            let _ = device.write(&reply);
        }
    }

    fn answer(&mut self, code: u32, at: u64, head: &[u8], body: &[u8]) -> Reply {
        let owner = (number(head, 24), number(head, 28));
        match code {
            26 => Ok(Some(hello())),
            2 | 36 | 42 => Ok(None),
            1 => self.child(at, text(body)).map(|node| Some(self.entry(node))),
            3 => Ok(Some([vec![0; 16], self.attributes(at)].concat())),
            4 => self.set(at, body),
            5 => Ok(Some(self.nodes[&at].data.clone())),
            6 => {
                let (name, target) = two(body);
                self.make(at, name, LINK | 0o777, owner, target).map(|node| Some(self.entry(node)))
            }
            8 => self.make(at, text(&body[16..]), number(body, 0), owner, b"").map(|node| Some(self.entry(node))),
            9 => {
                let mode = DIRECTORY | number(body, 0);
                self.make(at, text(&body[8..]), mode, owner, b"").map(|node| Some(self.entry(node)))
            }
            10 | 11 => self.remove(at, text(body)),
            12 => self.rename(at, long(body, 0), two(&body[8..]), 0),
            45 => self.rename(at, long(body, 0), two(&body[16..]), number(body, 8)),
            13 => self.link(long(body, 0), at, text(&body[8..])),
            14 | 27 => Ok(Some(vec![0; 16])),
            15 => {
                let (from, size) = range(body);
                let data = &self.nodes[&at].data;
                Ok(Some(data.iter().skip(from).take(size).copied().collect()))
            }
            16 => self.write(at, body),
            17 => Ok(Some(room())),
            18 | 20 | 25 | 29 | 30 => Ok(Some(Vec::new())),
            28 => Ok(Some(self.list(at, body))),
            35 => {
                let mode = REGULAR | number(body, 4) & 0o7777;
                let node = self.make(at, text(&body[16..]), mode, owner, b"")?;
                Ok(Some([self.entry(node), vec![0; 16]].concat()))
            }
            _ => Err(NOSYS),
        }
    }

    fn child(&self, at: u64, name: &[u8]) -> Result<u64, i32> {
        self.nodes[&at].children.get(&name.to_ascii_lowercase()).map(|(_, node)| *node).ok_or(NOENT)
    }

    fn put(&mut self, at: u64, name: &[u8], node: u64) {
        let folder = self.nodes.get_mut(&at).expect("a folder");
        folder.children.insert(name.to_ascii_lowercase(), (name.to_vec(), node));
    }

    fn make(&mut self, at: u64, name: &[u8], mode: u32, owner: (u32, u32), data: &[u8]) -> Result<u64, i32> {
        if self.child(at, name).is_ok() {
            return Err(EXIST);
        }
        let node = self.next;
        self.next += 1;
        self.nodes.insert(node, Node { mode, owner, links: 1, data: data.to_vec(), ..Node::default() });
        self.put(at, name, node);
        Ok(node)
    }

    fn remove(&mut self, at: u64, name: &[u8]) -> Reply {
        let node = self.child(at, name)?;
        if !self.nodes[&node].children.is_empty() {
            return Err(NOTEMPTY);
        }
        self.nodes.get_mut(&at).expect("a folder").children.remove(&name.to_ascii_lowercase());
        // It stays: somebody may have it open.
        self.nodes.get_mut(&node).expect("a node").links -= 1;
        Ok(Some(Vec::new()))
    }

    fn rename(&mut self, from: u64, to: u64, (old, new): (&[u8], &[u8]), flags: u32) -> Reply {
        let node = self.child(from, old)?;
        if flags & 1 != 0 && self.child(to, new).is_ok() {
            return Err(EXIST);
        }
        self.nodes.get_mut(&from).expect("a folder").children.remove(&old.to_ascii_lowercase());
        // As such file systems do: what is written over keeps the spelling that it had.
        let spelling = self.nodes[&to].children.get(&new.to_ascii_lowercase()).map(|(name, _)| name.clone());
        self.put(to, &spelling.unwrap_or_else(|| new.to_vec()), node);
        Ok(Some(Vec::new()))
    }

    fn link(&mut self, node: u64, at: u64, name: &[u8]) -> Reply {
        if self.child(at, name).is_ok() {
            return Err(EXIST);
        }
        self.nodes.get_mut(&node).expect("a node").links += 1;
        self.put(at, name, node);
        Ok(Some(self.entry(node)))
    }

    fn write(&mut self, at: u64, body: &[u8]) -> Reply {
        let (from, size) = range(body);
        let data = &mut self.nodes.get_mut(&at).expect("a file").data;
        data.resize(data.len().max(from + size), 0);
        data[from..from + size].copy_from_slice(&body[40..40 + size]);
        Ok(Some((size as u64).to_le_bytes().to_vec()))
    }

    fn set(&mut self, at: u64, body: &[u8]) -> Reply {
        let valid = number(body, 0);
        let node = self.nodes.get_mut(&at).expect("a node");
        if valid & 1 != 0 {
            node.mode = node.mode & !0o7777 | number(body, 68) & 0o7777;
        }
        if valid & 2 != 0 {
            node.owner.0 = number(body, 76);
        }
        if valid & 4 != 0 {
            node.owner.1 = number(body, 80);
        }
        if valid & 8 != 0 {
            node.data.resize(usize::try_from(long(body, 16)).expect("small"), 0);
        }
        if valid & 32 != 0 {
            node.modified = (long(body, 40), number(body, 60));
        }
        Ok(Some([vec![0; 16], self.attributes(at)].concat()))
    }

    fn list(&self, at: u64, body: &[u8]) -> Vec<u8> {
        let (from, size) = range(body);
        let mut list = Vec::new();
        for (number, (name, node)) in self.nodes[&at].children.values().enumerate().skip(from) {
            let mut one = [node.to_le_bytes(), (number as u64 + 1).to_le_bytes()].concat();
            one.extend(u32::try_from(name.len()).expect("short").to_le_bytes());
            one.extend((self.nodes[node].mode >> 12).to_le_bytes());
            one.extend(name);
            one.resize(one.len().next_multiple_of(8), 0);
            if list.len() + one.len() > size {
                break;
            }
            list.extend(one);
        }
        list
    }

    fn entry(&self, node: u64) -> Vec<u8> {
        [&node.to_le_bytes()[..], &[0; 32], &self.attributes(node)].concat()
    }

    fn attributes(&self, at: u64) -> Vec<u8> {
        let node = &self.nodes[&at];
        let (size, (seconds, nanoseconds)) = (node.data.len() as u64, node.modified);
        let (inode, mode) = match &self.unsteady {
            Some(next) => (next.replace(next.get() + 1), node.mode & 0o170_000 | fixed_mode(node.mode)),
            None => (at, node.mode),
        };
        let longs = [inode, size, size.div_ceil(512), seconds, seconds, seconds].map(u64::to_le_bytes).concat();
        let (uid, gid) = node.owner;
        let words = [nanoseconds, nanoseconds, nanoseconds, mode, node.links, uid, gid, 0, 4096, 0];
        [longs, words.map(u32::to_le_bytes).concat()].concat()
    }
}

fn fixed_mode(mode: u32) -> u32 {
    match mode & 0o170_000 {
        REGULAR => 0o600,
        DIRECTORY => 0o755,
        _ => 0o777,
    }
}

fn hello() -> Vec<u8> {
    let background = (16u32 << 16) | 16;
    let words = [7, 31, 0, 0, background, WRITE_BYTES_MAX, 1];
    let mut hello = words.map(u32::to_le_bytes).concat();
    hello.resize(64, 0);
    hello
}

fn room() -> Vec<u8> {
    let longs = [1u64 << 20; 5].map(u64::to_le_bytes).concat();
    let words = [4096u32, 255, 4096, 0, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    [longs, words].concat()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Offset and size of a read or a write.
fn range(body: &[u8]) -> (usize, usize) {
    (usize::try_from(long(body, 8)).expect("small"), number(body, 16) as usize)
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn two(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
