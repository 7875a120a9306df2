//! Kernel: what the transport asks of a ring, and what that says. `uring` is the real one; a test's is without mercy.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use crate::engine::Output;

/// A socket as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum File {
    /// By its place in the ring's table.
    Fixed(u32),
    /// By its descriptor.
    Plain(RawFd),
}

/// The events to watch for beside a client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Events {
    /// None: goes on, and completes at each change.
    None,
    /// Room for bytes to send: goes on, and completes at each change.
    Room,
    /// Bytes to receive: completes once.
    Input,
}

/// A completed request.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Completion {
    /// What the request was called.
    pub(super) name: u64,
    /// The result; an error if negative.
    pub(super) result: i32,
    /// Whether the request goes on.
    pub(super) more: bool,
    /// The buffer that was filled.
    pub(super) buffer: Option<u16>,
}

/// A ring. It does nothing, and receives nothing, but within `submit` and `submit_and_wait`.
pub(in crate::runtime) trait Kernel: Sized {
    /// A ring of the calling thread.
    fn new() -> io::Result<Self>;

    /// Gives a socket a place in the table of files, if there is one. Returns how requests name it.
    fn register(&mut self, index: u32, socket: BorrowedFd<'_>) -> File;

    /// Takes a socket out of the table of files.
    fn unregister(&mut self, file: File);

    /// Receives into the ring's buffers, again and again.
    fn receive(&mut self, name: u64, file: File) -> io::Result<()>;

    /// Receives at once into spare capacity, past the ring. Returns the number of bytes.
    fn receive_now(&mut self, socket: BorrowedFd<'_>, into: &mut Vec<u8>) -> io::Result<usize>;

    /// Sends bytes as far as there is room, and completes only if some were not sent. The output is kept until
    /// `take_sent`.
    fn send(&mut self, name: u64, file: File, output: Output) -> io::Result<()>;

    /// Completes with the events of poll(2): those of a client's end (it sends no more, it is gone, its socket has failed),
    /// and those of `events`.
    fn watch(&mut self, name: u64, file: File, events: Events) -> io::Result<()>;

    /// Completes once clients wait at some socket of an epoll set.
    fn await_clients(&mut self, name: u64, set: RawFd) -> io::Result<()>;

    /// Completes once the doorbell was rung.
    fn await_bell(&mut self, name: u64, bell: RawFd) -> io::Result<()>;

    /// Cancels the request of that name, which then completes; this one itself, called `own_name`, only if it fails.
    fn cancel(&mut self, name: u64, own_name: u64) -> io::Result<()>;

    /// Has the kernel take all requests, and do what is ready. Never waits.
    fn submit(&mut self) -> io::Result<()>;

    /// As `submit`, and waits up to `timeout` for a completion.
    fn submit_and_wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Whether there are requests that the kernel has not taken.
    fn has_queue(&self) -> bool;

    /// Whether something has happened that `submit` would find. No system call.
    fn has_news(&mut self) -> bool;

    /// The next completion. Those of sends come before what the same `submit` has received.
    fn next_completion(&mut self) -> io::Result<Option<Completion>>;

    /// What the sends that are not over are called.
    fn flying(&self) -> impl Iterator<Item = u64>;

    /// Moves the outputs of sends that are over to `sent`. To be called when all completions were taken.
    fn take_sent(&mut self, sent: &mut Vec<(u64, Output)>);

    /// The bytes that were received into a buffer.
    fn bytes(&self, buffer: u16, len: usize) -> &[u8];

    /// Gives a buffer back, with the next `submit`.
    fn give_back(&mut self, buffer: u16);
}
