//! Faulty: a disk in memory with injected faults, which loses at a crash what was not made durable. For tests and the
//! simulation.
//!
//! At a crash, unsynced writes are kept or lost sector by sector; unsynced renames, creations and removals are kept up to
//! some point and lost from there on, as by a journal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::disk::{Disk, DiskFile};

/// Bytes of a sector, which is written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones share the disk.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Rc<RefCell<State>>);

/// An open file of the disk.
#[derive(Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    number: usize,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The names after each change since the last sync.
    unsynced_names: Vec<BTreeMap<String, usize>>,
    /// The number of calls so far that could have failed.
    calls: u64,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

/// An injected fault: a call, counted from 0, and all calls after it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first call that fails.
    pub call: u64,
    /// The kind of the failure.
    pub kind: FaultKind,
}

/// The kind of an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Calls fail with this error of the operating system.
    Error(i32),
    /// Reads and writes transfer one byte only; no call fails.
    Short,
}

impl FaultyDisk {
    /// Injects a fault, counted from the next call on.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.0.borrow_mut();
        state.calls = 0;
        state.fault = fault;
    }

    /// The number of calls since `fail`.
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// Simulates a power loss. `random` decides which of the unsynced changes are kept.
    pub fn crash(&self, mut random: impl FnMut() -> u64) {
        let mut guard = self.0.borrow_mut();
        let state = &mut *guard;
        let kept = random() as usize % (state.unsynced_names.len() + 1);
        if let Some(names) = kept.checked_sub(1).map(|at| state.unsynced_names[at].clone()) {
            state.durable_names = names;
        }
        state.unsynced_names.clear();
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            let len = if random().is_multiple_of(2) { file.bytes.len() } else { file.durable.len() };
            let mut after = vec![0; len];
            for (at, sector) in after.chunks_mut(SECTOR_BYTES).enumerate() {
                let begin = at * SECTOR_BYTES;
                let from = if random().is_multiple_of(2) { &file.bytes } else { &file.durable };
                let some = from.get(begin..from.len().min(begin + sector.len())).unwrap_or_default();
                sector[..some.len()].copy_from_slice(some);
            }
            file.bytes.clone_from(&after);
            file.durable = after;
        }
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        state.names.get(name).map(|number| state.files[*number].bytes.clone())
    }

    /// Stores a file durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        state.files.push(Content { bytes: bytes.to_vec(), durable: bytes.to_vec() });
        let number = state.files.len() - 1;
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }

    /// Counts a call and fails it if a fault is due. Returns whether it should transfer one byte only.
    fn call(&self) -> io::Result<bool> {
        let mut state = self.0.borrow_mut();
        state.calls += 1;
        match state.fault {
            Some(Fault { call, kind }) if state.calls > call => match kind {
                FaultKind::Error(code) => Err(io::Error::from_raw_os_error(code)),
                FaultKind::Short => Ok(true),
            },
            _ => Ok(false),
        }
    }

    fn change_names(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        change(&mut state)?;
        let names = state.names.clone();
        state.unsynced_names.push(names);
        Ok(())
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn create(&mut self, name: &str) -> io::Result<FaultyFile> {
        self.call()?;
        self.change_names(|state| {
            state.files.push(Content::default());
            let number = state.files.len() - 1;
            match state.names.insert(name.to_owned(), number) {
                None => Ok(()),
                Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            }
        })?;
        self.open_any(name)
    }

    fn may_replace(&mut self, _name: &str) -> io::Result<()> {
        self.call().map(drop)
    }

    fn open(&mut self, name: &str) -> io::Result<FaultyFile> {
        self.call()?;
        self.open_any(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        self.change_names(|state| {
            let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), number);
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        // Never fails: tests only check whether it was called.
        self.change_names(|state| state.names.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into()))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.call()?;
        let mut state = self.0.borrow_mut();
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

impl FaultyDisk {
    fn open_any(&self, name: &str) -> io::Result<FaultyFile> {
        let number = self.0.borrow().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(FaultyFile { disk: self.clone(), number })
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let len = if self.disk.call()? { 1 } else { bytes.len() };
        let content = &mut self.disk.0.borrow_mut().files[self.number].bytes;
        let offset = offset as usize;
        if content.len() < offset + len {
            content.resize(offset + len, 0);
        }
        content[offset..offset + len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let short = self.disk.call()?;
        let state = self.disk.0.borrow();
        let rest = state.files[self.number].bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len()).min(if short { 1 } else { usize::MAX });
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.call()?;
        let mut state = self.disk.0.borrow_mut();
        let content = &mut state.files[self.number];
        content.durable.clone_from(&content.bytes);
        Ok(())
    }

    fn size(&mut self) -> io::Result<u64> {
        self.disk.call()?;
        Ok(self.disk.0.borrow().files[self.number].bytes.len() as u64)
    }
}
