//! What a disk may hold after the power was lost: all that was synced, and of what was written since then anything: nothing,
//! everything, some of it, torn at sectors or pages, in any order.
//!
//! Entries of the folder (files made, removed, renamed) are safe once the folder was synced; until then any first part of the
//! changes may be there. What was never written within a longer file is zeros.

use crate::chance::Chance;
use crate::record::Step;
use std::collections::BTreeMap;

/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// What the system writes as a whole.
const PAGE: usize = 4096;

/// The files of a folder.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Entry {
    Made(String, usize),
    Removed(String),
    Renamed(String, String),
}

/// A folder with what is safe of it and what is not yet.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    since: Vec<Entry>,
    /// It only says that it has synced.
    lies: bool,
}

impl Disk {
    /// An empty one; one that `lies` only says that it has synced.
    pub(crate) fn new(lies: bool) -> Self {
        Self { lies, ..Self::default() }
    }

    /// Does one step.
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Write { file, at, bytes } => self.change(file, Change::Write { at: *at, bytes: bytes.clone() }),
            Step::Truncate { file, len } => self.change(file, Change::Truncate(*len)),
            Step::Create { file } => {
                self.contents.push(Content::default());
                self.enter(Entry::Made(file.clone(), self.contents.len() - 1));
            }
            Step::Remove { file } => self.enter(Entry::Removed(file.clone())),
            Step::Rename { from, to } => self.enter(Entry::Renamed(from.clone(), to.clone())),
            Step::Sync { .. } if self.lies => {}
            Step::Sync { file } if file.is_empty() => {
                self.since.clear();
                self.safe_names.clone_from(&self.names);
            }
            Step::Sync { file } => {
                let content = self.names.get(file).and_then(|at| self.contents.get_mut(*at));
                // One that was removed meanwhile is nobody's any more.
                let Some(content) = content else { return };
                for change in std::mem::take(&mut content.since) {
                    apply(&mut content.synced, &change);
                }
            }
            Step::Mark(_) => {}
        }
    }

    fn change(&mut self, file: &str, change: Change) {
        let at = *self.names.get(file).unwrap_or_else(|| panic!("{file} was never made"));
        self.contents[at].since.push(change);
    }

    fn enter(&mut self, entry: Entry) {
        happen(&mut self.names, &entry);
        self.since.push(entry);
    }

    /// What may be there if the power is lost now.
    pub(crate) fn image(&self, chance: &mut Chance) -> Image {
        let mut names = self.safe_names.clone();
        let kept = if chance.below(2) == 0 { self.since.len() } else { chance.below(self.since.len() + 1) };
        self.since.iter().take(kept).for_each(|entry| happen(&mut names, entry));
        names.into_iter().map(|(name, at)| (name, self.contents[at].after_loss(chance))).collect()
    }
}

fn happen(names: &mut BTreeMap<String, usize>, entry: &Entry) {
    match entry {
        Entry::Made(name, at) => drop(names.insert(name.clone(), *at)),
        Entry::Removed(name) => drop(names.remove(name)),
        Entry::Renamed(from, to) => {
            if let Some(at) = names.remove(from) {
                names.insert(to.clone(), at);
            }
        }
    }
}

impl Content {
    fn after_loss(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        match chance.below(6) {
            0 => {}
            1 => self.since.iter().for_each(|change| apply(&mut bytes, change)),
            2 => {
                // In order, the last one torn.
                let whole = chance.below(self.since.len() + 1);
                self.since.iter().take(whole).for_each(|change| apply(&mut bytes, change));
                if let Some(torn) = self.since.get(whole) {
                    tear(&mut bytes, torn, SECTOR, 50, chance);
                }
            }
            3 => {
                // Whole, but any of them.
                let likely = chance.below(101);
                self.since.iter().filter(|_| chance.below(100) < likely).for_each(|change| apply(&mut bytes, change));
            }
            4 => self.pieces(&mut bytes, SECTOR, chance),
            _ => self.pieces(&mut bytes, PAGE, chance),
        }
        bytes
    }

    /// Any pieces of any of them.
    fn pieces(&self, bytes: &mut Vec<u8>, piece: usize, chance: &mut Chance) {
        let likely = chance.below(101);
        self.since.iter().for_each(|change| tear(bytes, change, piece, likely, chance));
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(len) => file.resize(*len, 0),
        Change::Write { at, bytes } => put(file, *at, bytes),
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Does some of a change: each piece with a likelihood in percent.
fn tear(file: &mut Vec<u8>, change: &Change, piece: usize, likely: usize, chance: &mut Chance) {
    let Change::Write { at, bytes } = change else {
        if chance.below(100) < likely {
            apply(file, change);
        }
        return;
    };
    let (mut from, end) = (*at, at + bytes.len());
    while from < end {
        let to = ((from / piece + 1) * piece).min(end);
        if chance.below(100) < likely {
            put(file, from, &bytes[from - at..to - at]);
        }
        from = to;
    }
}
