//! Worker: does what engines ask of files, on any `Disk`. Blocks as the disk does, so it is on no core: the runtime gives it
//! a thread, the simulation a place in its schedule.
//!
//! What it answers goes to `tell`, which says false when the core is there no more. Records go to their cores in chunks of
//! `LOAD_CHUNK_BYTES`; `tell` may wait until a core wants the next.
//! Never: leaves a temporary file behind an error, writes over a file before the new one is complete.

use std::fmt::Display;
use std::io;

use crate::engine::persistence::files::{FileAsk, FileEvent};
use crate::limits::{DATABASES, LOAD_CHUNK_BYTES};
use crate::persist::{Disk, Header, LoadError, Name, Snapshot, Source};
use crate::slot::{CoreId, Slot};

/// Takes an event to a core. False if the core has ended.
pub type Tell<'a> = &'a mut dyn FnMut(CoreId, FileEvent) -> bool;

/// The core that coordinates snapshots.
const FIRST: CoreId = CoreId(0);

/// Reads and writes snapshots.
pub struct Worker<D: Disk> {
    /// Opens the directory when it is needed first.
    open: Box<dyn FnMut() -> io::Result<D> + Send>,
    disk: Option<D>,
    cores: u16,
    databases: u8,
    saving: Option<Saving<D::File>>,
    /// The snapshot that was checked and is to be read.
    checked: Option<(u64, Source<D::File>)>,
}

/// A snapshot that is being written.
struct Saving<F> {
    file: Snapshot<F>,
    /// Cores that have more of it.
    walking: u16,
}

impl<D: Disk> Worker<D> {
    /// For so many cores. `disk`: the directory, if it is open already.
    pub fn new(cores: u16, disk: Option<D>, open: impl FnMut() -> io::Result<D> + Send + 'static) -> Worker<D> {
        Worker { open: Box::new(open), disk, cores, databases: DATABASES as u8, saving: None, checked: None }
    }

    /// For so many databases; else for as many as there can be.
    pub fn with_databases(self, databases: u8) -> Worker<D> {
        Worker { databases, ..self }
    }

    /// Does what a core asks.
    pub fn answer(&mut self, core: CoreId, ask: FileAsk, tell: Tell<'_>) {
        match ask {
            FileAsk::Save { id, name, cores } => match self.begin(id, name, cores) {
                Ok(()) => drop(tell(core, FileEvent::Begun { id })),
                Err(error) => self.fail(id, &error, tell),
            },
            FileAsk::Cut { id, created_ms } => {
                if let Some(saving) = self.saving.as_mut().filter(|saving| saving.file.id() == id) {
                    saving.file.set_created(created_ms);
                }
            }
            FileAsk::Block { id, mut block } => {
                let saving = self.saving.as_mut().filter(|saving| saving.file.id() == id);
                let written = saving.map_or(Ok(()), |saving| saving.file.block(&mut block));
                block.bytes.clear();
                tell(core, FileEvent::Written { id, buffer: block.bytes });
                if let Err(error) = written {
                    self.fail(id, &error, tell);
                }
            }
            FileAsk::Walked { id } => self.walked(id, tell),
            FileAsk::Abandon { id } => self.abandon(id),
            FileAsk::Load { id, name } => match self.check(&name) {
                Ok(source) => {
                    let summary = source.summary();
                    self.checked = Some((id, source));
                    tell(core, FileEvent::Checked { id, summary });
                }
                Err(LoadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.fail(id, &"no snapshot yet; SAVE takes one", tell);
                }
                Err(error) => self.fail(id, &error, tell),
            },
            FileAsk::Read { id } => {
                if let Some((_, mut source)) = self.checked.take_if(|checked| checked.0 == id) {
                    self.read(id, &mut source, tell);
                }
            }
        }
    }

    /// The load that the server begins with, of id 0. A damaged file ends it, so its items need not be checked before.
    pub fn load_at_start(&mut self, name: &Name, tell: Tell<'_>) {
        match self.source(name) {
            Ok(mut source) => {
                tell(FIRST, FileEvent::Checked { id: 0, summary: source.summary() });
                self.read(0, &mut source, tell);
            }
            Err(LoadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => self.end_records(0, tell),
            Err(error) => self.fail(0, &error, tell),
        }
    }

    fn fail(&mut self, id: u64, why: &dyn Display, tell: Tell<'_>) {
        self.abandon(id);
        tell(FIRST, FileEvent::Failed { id, why: why.to_string() });
    }

    fn abandon(&mut self, id: u64) {
        if let Some(saving) = self.saving.take_if(|saving| saving.file.id() == id)
            && let Some(disk) = &mut self.disk
        {
            saving.file.abandon(disk);
        }
    }

    fn disk(&mut self) -> io::Result<&mut D> {
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => (self.open)()?,
        };
        Ok(self.disk.insert(disk))
    }

    fn begin(&mut self, id: u64, name: Name, cores: u16) -> io::Result<()> {
        let file = Snapshot::begin(self.disk()?, name, Header { cores, id, created_ms: 0, has_databases: false })?;
        self.saving = Some(Saving { file, walking: cores });
        Ok(())
    }

    /// A core has no more blocks; when none has, the file is complete.
    fn walked(&mut self, id: u64, tell: Tell<'_>) {
        let Some(saving) = self.saving.as_mut().filter(|saving| saving.file.id() == id) else { return };
        saving.walking -= 1;
        if saving.walking > 0 {
            return;
        }
        if let Some(saving) = self.saving.take()
            && let Some(disk) = &mut self.disk
        {
            match saving.file.finish(disk) {
                Ok(saved) => drop(tell(FIRST, FileEvent::Saved { id, saved })),
                Err(error) => self.fail(id, &error, tell),
            }
        }
    }

    fn source(&mut self, name: &Name) -> Result<Source<D::File>, LoadError> {
        Source::open(self.disk()?.open(name.as_str())?)?.check_databases(self.databases)
    }

    /// Reads a file through, so that nothing is begun with one that is damaged.
    fn check(&mut self, name: &Name) -> Result<Source<D::File>, LoadError> {
        self.source(name)?.read(|_| true)?;
        self.source(name)
    }

    /// Sends every item to the core that owns its key.
    fn read(&mut self, id: u64, source: &mut Source<D::File>, tell: Tell<'_>) {
        let (cores, total) = (self.cores, source.summary().bytes);
        let mut chunks: Vec<Vec<u8>> = vec![Vec::new(); usize::from(cores)];
        let mut read = 0;
        let result = source.read(|item| {
            read = item.read;
            let owner = if cores == 1 { FIRST } else { Slot::of(item.record.key).owner(cores) };
            let chunk = &mut chunks[usize::from(owner.0)];
            chunk.extend_from_slice(item.framed);
            chunk.len() < LOAD_CHUNK_BYTES || {
                let bytes = std::mem::replace(chunk, Vec::with_capacity(LOAD_CHUNK_BYTES));
                tell(owner, FileEvent::Records { id, bytes, progress: (read, total) })
            }
        });
        match result {
            Ok(true) => {
                for (core, bytes) in (0..).zip(chunks).filter(|(_, bytes)| !bytes.is_empty()) {
                    tell(CoreId(core), FileEvent::Records { id, bytes, progress: (read, total) });
                }
                self.end_records(id, tell);
            }
            // A core has ended: so does the process.
            Ok(false) => {}
            Err(error) => self.fail(id, &error, tell),
        }
    }

    fn end_records(&self, id: u64, tell: Tell<'_>) {
        for core in (0..self.cores).map(CoreId) {
            tell(core, FileEvent::End { id });
        }
    }
}
