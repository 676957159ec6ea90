//! Builds the contents of a disk after a power cut: everything synced, and a random part of the rest.
//!
//! - `Ordered`: a file's writes since its last sync reach the disk in order, up to one that may be torn at a
//!   sector. None of them is beyond the synced length.
//! - `Scattered`: each page of 4 KiB is as one of its writes since the last sync left it, or as synced,
//!   independently of its neighbours. The same holds for the length. This models a device with a volatile
//!   cache.
//!
//! In both models a folder has the entries of its last sync and a random number of later changes, in order. A
//! sync of a file does not make its entry durable.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::record::{Op, Record};

const PAGE: u64 = 4096;
const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    Ordered,
    Scattered,
    /// As `Scattered`, but syncs of files have no effect.
    Lying,
    /// Nothing is lost, as after the end of the process alone.
    Whole,
}

#[derive(Clone)]
enum Change<'a> {
    Write(u64, &'a [u8]),
    Truncate(u64),
}

#[derive(Clone, Default)]
struct File<'a> {
    synced: Vec<u8>,
    changes: Vec<Change<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder,
}

/// A change of a folder's entries.
#[derive(Clone, Debug)]
enum Entry {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Move(PathBuf, PathBuf, Node),
}

impl Entry {
    fn folder(&self) -> &Path {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Move(_, path, _) => path.parent().unwrap(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Put(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Default)]
struct Disk<'a> {
    files: Vec<File<'a>>,
    /// The entries as running programs see them.
    names: BTreeMap<PathBuf, Node>,
    /// The entries that are certainly on the disk.
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Entry>,
    /// Whether a sync of a file has an effect.
    syncs: bool,
}

impl<'a> Disk<'a> {
    fn after(record: &'a Record, cut: usize, model: Model) -> Self {
        let mut disk = Self { syncs: model != Model::Lying, ..Self::default() };
        for (path, bytes) in &record.base {
            for folder in path.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
                disk.durable.insert(folder.to_owned(), Node::Folder);
            }
            disk.durable.insert(path.clone(), Node::File(disk.files.len()));
            disk.files.push(File { synced: bytes.clone(), changes: Vec::new() });
        }
        disk.names = disk.durable.clone();
        for op in &record.ops[..cut] {
            disk.apply(op);
        }
        disk
    }

    fn file(&mut self, path: &Path) -> &mut File<'a> {
        let Some(Node::File(index)) = self.names.get(path) else {
            panic!("{} was not created", path.display())
        };
        &mut self.files[*index]
    }

    fn enter(&mut self, entry: Entry) {
        entry.apply(&mut self.names);
        // The watched directory itself exists: its creator has synced it.
        if entry.folder() == Path::new("") && matches!(&entry, Entry::Put(path, _) if path == Path::new("")) {
            return;
        }
        self.pending.push(entry);
    }

    fn apply(&mut self, op: &'a Op) {
        match op {
            Op::Create(path) => {
                self.files.push(File::default());
                self.enter(Entry::Put(path.clone(), Node::File(self.files.len() - 1)));
            }
            Op::Mkdir(path) if path.as_os_str().is_empty() => {}
            Op::Mkdir(path) => self.enter(Entry::Put(path.clone(), Node::Folder)),
            Op::Write { path, offset, bytes } => self.file(path).changes.push(Change::Write(*offset, bytes)),
            Op::Truncate { path, length } => self.file(path).changes.push(Change::Truncate(*length)),
            Op::SyncFile(_) if !self.syncs => {}
            Op::SyncFile(path) => {
                let file = self.file(path);
                for change in std::mem::take(&mut file.changes) {
                    whole(&mut file.synced, &change);
                }
            }
            Op::SyncFolder(folder) => {
                let (done, pending): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut self.pending).into_iter().partition(|entry| entry.folder() == folder);
                for entry in done {
                    entry.apply(&mut self.durable);
                }
                self.pending = pending;
            }
            Op::Rename(from, to) => {
                let node = self.names[from];
                self.enter(Entry::Move(from.clone(), to.clone(), node));
            }
            Op::Unlink(path) => self.enter(Entry::Remove(path.clone())),
            Op::Link(from, to) => {
                let node = self.names[from];
                self.enter(Entry::Put(to.clone(), node));
            }
        }
    }

    /// Returns the entries that survive by chance.
    fn surviving(&self, model: Model, rng: &mut StdRng) -> BTreeMap<PathBuf, Node> {
        let mut names = self.durable.clone();
        let mut left: HashMap<&Path, usize> = HashMap::new();
        let mut counts: HashMap<&Path, usize> = HashMap::new();
        for entry in &self.pending {
            *counts.entry(entry.folder()).or_default() += 1;
        }
        for entry in &self.pending {
            let count = counts[entry.folder()];
            let kept = left.entry(entry.folder()).or_insert_with(|| match model {
                Model::Whole => count,
                Model::Ordered | Model::Scattered | Model::Lying => rng.random_range(0..=count),
            });
            if *kept > 0 {
                *kept -= 1;
                entry.apply(&mut names);
            }
        }
        names
    }
}

fn whole(bytes: &mut Vec<u8>, change: &Change<'_>) {
    match change {
        Change::Write(offset, written) => {
            let offset = usize::try_from(*offset).unwrap();
            bytes.resize(bytes.len().max(offset + written.len()), 0);
            bytes[offset..offset + written.len()].copy_from_slice(written);
        }
        Change::Truncate(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
    }
}

fn ordered(file: &File<'_>, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    let length = bytes.len();
    let kept = rng.random_range(0..=file.changes.len());
    for change in &file.changes[..kept] {
        whole(&mut bytes, change);
    }
    if let Some(Change::Write(offset, written)) = file.changes.get(kept) {
        let sectors = rng.random_range(0..=written.len() / SECTOR);
        whole(&mut bytes, &Change::Write(*offset, &written[..sectors * SECTOR]));
    }
    bytes.truncate(length);
    bytes
}

fn scattered(file: &File<'_>, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    let mut lengths = vec![bytes.len()];
    let mut touches: HashMap<u64, usize> = HashMap::new();
    let pages = |offset: u64, written: &[u8]| offset / PAGE..(offset + written.len() as u64).div_ceil(PAGE);
    let mut length = bytes.len() as u64;
    for change in &file.changes {
        match change {
            Change::Write(offset, written) => {
                pages(*offset, written).for_each(|page| *touches.entry(page).or_default() += 1);
                length = length.max(offset + written.len() as u64);
            }
            Change::Truncate(to) => length = *to,
        }
        lengths.push(usize::try_from(length).unwrap());
    }
    let mut list: Vec<_> = touches.into_iter().collect();
    list.sort_unstable();
    let mut kept: HashMap<u64, usize> =
        list.into_iter().map(|(page, count)| (page, rng.random_range(0..=count))).collect();
    bytes.resize(lengths.iter().copied().max().unwrap_or_default(), 0);
    for change in &file.changes {
        let Change::Write(offset, written) = change else { continue };
        for page in pages(*offset, written) {
            let left = kept.get_mut(&page).unwrap();
            if *left > 0 {
                *left -= 1;
                let (from, to) =
                    ((page * PAGE).max(*offset), ((page + 1) * PAGE).min(offset + written.len() as u64));
                let part = |at: u64| usize::try_from(at).unwrap();
                bytes[part(from)..part(to)].copy_from_slice(&written[part(from - offset)..part(to - offset)]);
            }
        }
    }
    bytes.truncate(lengths[rng.random_range(0..lengths.len())]);
    bytes
}

/// Writes the possible contents of the disk after a power cut behind the first `cut` operations into
/// `target`, which must not exist.
pub(crate) fn build(record: &Record, cut: usize, model: Model, seed: u64, target: &Path) {
    let disk = Disk::after(record, cut, model);
    let mut rng = StdRng::seed_from_u64(seed);
    std::fs::create_dir(target).unwrap();
    let mut contents: HashMap<usize, Vec<u8>> = HashMap::new();
    for (path, node) in disk.surviving(model, &mut rng) {
        let place = target.join(&path);
        match node {
            // A file whose folder is lost cannot be found.
            Node::File(_) if !place.parent().unwrap().is_dir() => {}
            Node::Folder => std::fs::create_dir(&place).unwrap_or_default(),
            Node::File(index) => {
                let file = &disk.files[index];
                let bytes = contents.entry(index).or_insert_with(|| match model {
                    Model::Ordered => ordered(file, &mut rng),
                    Model::Scattered | Model::Lying => scattered(file, &mut rng),
                    Model::Whole => {
                        let mut bytes = file.synced.clone();
                        for change in &file.changes {
                            whole(&mut bytes, change);
                        }
                        bytes
                    }
                });
                std::fs::write(&place, &*bytes).unwrap();
                if path == Path::new("key") {
                    use std::os::unix::fs::PermissionsExt as _;
                    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
                }
            }
        }
    }
}

/// Returns every file below `root` with its contents.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
