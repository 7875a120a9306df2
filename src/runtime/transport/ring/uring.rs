//! Uring: one io_uring with its buffers and its table of files: what is asked of the kernel, and what it says. Core: the one
//! whose thread made it.
//!
//! The kernel works on this ring only while the thread is in `enter` (DEFER_TASKRUN): nothing is received and nothing sent
//! behind the core's back. A send never waits for room (MSG_DONTWAIT), so once `enter` has taken its request the kernel
//! needs its bytes no more.
//! Ring and buffers are never freed: the kernel may hold them for a while after a ring is closed, and a core needs its own
//! as long as the process lives.
#![expect(unsafe_code, reason = "requests hold pointers; each block names who keeps what they point to")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{BufRingEntry, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, opcode};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};

use super::kernel::{Completion, Events, File, Kernel};
use crate::engine::Output;
use crate::limits::{READ_BUFFER_BYTES, RING_BUFFERS, RING_COMPLETIONS, RING_FILES_MAX, RING_REQUESTS};

/// The one group of buffers.
const GROUP: u16 = 0;
/// Bytes of the ring of buffers, a whole page, in which the kernel wants it to begin.
const PAGE_BYTES: usize = 4096;

const _: () = assert!(RING_BUFFERS.is_power_of_two() && RING_BUFFERS * size_of::<BufRingEntry>() <= PAGE_BYTES);

/// A ring of the kernel's.
pub(in crate::runtime) struct Uring {
    submitter: Submitter<'static>,
    requests: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    buffers: Buffers,
    /// Places in the ring's table of files; none if the kernel has refused one.
    files: u32,
    /// Where the doorbell's count is read to. Nobody looks at it.
    bell_count: &'static mut u64,
    /// Outputs whose send requests the kernel has not taken yet, each with what the request is called.
    flying: Vec<(u64, Output)>,
    wait_flags: EnterFlags,
}

impl Uring {
    /// Puts a request into the queue; if that is full, the kernel takes those that are there first.
    ///
    /// # Safety
    /// What the request points to stays where it is until the request has completed.
    #[inline]
    unsafe fn push(&mut self, entry: &Entry) -> io::Result<()> {
        while self.requests.is_full() {
            self.submit()?;
        }
        // SAFETY: the caller answers for what the request points to.
        unsafe { self.requests.push(entry) }.map_err(io::Error::other)
    }
}

impl Kernel for Uring {
    fn new() -> io::Result<Uring> {
        let ring = build(true).or_else(|error| {
            // Before 6.6.
            if error.raw_os_error() == Some(libc::EINVAL) { build(false) } else { Err(error) }
        })?;
        let ring = Box::leak(Box::new(ring));
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_skip_cqe_on_success() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Waiting for clients is no reason for a CPU to be called busy with a disk.
        let wait_flags = if ring.params().is_feature_no_iowait() { EnterFlags::NO_IOWAIT } else { EnterFlags::empty() };
        let (mut submitter, requests, completions) = ring.split();
        let buffers = Buffers::new(&submitter)?;
        // Both save some 50 ns a request; neither is needed.
        let fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = RING_FILES_MAX.min(fds.map_or(u32::MAX, |fds| u32::try_from(fds).unwrap_or(u32::MAX)));
        let files = if submitter.register_files_sparse(files).is_ok() { files } else { 0 };
        let _ = submitter.register_ring_fd();
        let bell_count = Box::leak(Box::new(0));
        Ok(Uring { submitter, requests, completions, buffers, files, bell_count, flying: Vec::new(), wait_flags })
    }

    fn register(&mut self, index: u32, socket: BorrowedFd<'_>) -> File {
        let fd = socket.as_raw_fd();
        if index < self.files && self.submitter.register_files_update(index, &[fd]).is_ok() {
            File::Fixed(index)
        } else {
            File::Plain(fd)
        }
    }

    fn unregister(&mut self, file: File) {
        if let File::Fixed(index) = file {
            // The place exists, and a place can always be emptied.
            let _ = self.submitter.register_files_update(index, &[-1]);
        }
    }

    fn receive(&mut self, name: u64, file: File) -> io::Result<()> {
        let entry = match file {
            File::Fixed(index) => opcode::RecvMulti::new(Fixed(index), GROUP).build(),
            File::Plain(fd) => opcode::RecvMulti::new(Fd(fd), GROUP).build(),
        };
        // SAFETY: the request points to nothing; the buffers that the kernel fills are never freed, and are read only
        // between being filled and given back (`Buffers`).
        unsafe { self.push(&entry.user_data(name)) }
    }

    fn receive_now(&mut self, socket: BorrowedFd<'_>, into: &mut Vec<u8>) -> io::Result<usize> {
        Ok(recv(socket, spare_capacity(into), RecvFlags::DONTWAIT)?.0)
    }

    #[inline]
    fn send(&mut self, name: u64, file: File, output: Output) -> io::Result<()> {
        const FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let bytes = output.bytes();
        let (at, len) = (bytes.as_ptr(), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let entry = match file {
            File::Fixed(index) => opcode::Send::new(Fixed(index), at, len).flags(FLAGS).build(),
            File::Plain(fd) => opcode::Send::new(Fd(fd), at, len).flags(FLAGS).build(),
        };
        self.flying.push((name, output));
        // SAFETY: the bytes lie on the heap, where no move of the output moves them; `flying` keeps it until the kernel
        // has taken the request, and MSG_DONTWAIT makes it be done with it by then.
        unsafe { self.push(&entry.flags(Flags::SKIP_SUCCESS).user_data(name)) }
    }

    fn watch(&mut self, name: u64, file: File, events: Events) -> io::Result<()> {
        // The kernel adds the events of a client's end.
        let (mask, multi) = match events {
            Events::None => (0, true),
            Events::Room => (libc::POLLOUT, true),
            Events::Input => (libc::POLLIN, false),
        };
        let entry = match file {
            File::Fixed(index) => opcode::PollAdd::new(Fixed(index), mask as u32).multi(multi).build(),
            File::Plain(fd) => opcode::PollAdd::new(Fd(fd), mask as u32).multi(multi).build(),
        };
        // SAFETY: the request points to nothing.
        unsafe { self.push(&entry.user_data(name)) }
    }

    fn await_clients(&mut self, name: u64, set: RawFd) -> io::Result<()> {
        let entry = opcode::PollAdd::new(Fd(set), libc::POLLIN as u32).build();
        // SAFETY: the request points to nothing.
        unsafe { self.push(&entry.user_data(name)) }
    }

    fn await_bell(&mut self, name: u64, bell: RawFd) -> io::Result<()> {
        let at: *mut u64 = &raw mut *self.bell_count;
        let entry = opcode::Read::new(Fd(bell), at.cast(), size_of::<u64>() as u32).build();
        // SAFETY: the count is never freed, and nothing reads it.
        unsafe { self.push(&entry.user_data(name)) }
    }

    fn cancel(&mut self, name: u64, own_name: u64) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(name).build().flags(Flags::SKIP_SUCCESS);
        // SAFETY: the request points to nothing.
        unsafe { self.push(&entry.user_data(own_name)) }
    }

    fn submit(&mut self) -> io::Result<()> {
        self.buffers.publish();
        self.requests.sync();
        let result = self.submitter.submit();
        self.requests.sync();
        passing(result)
    }

    #[inline]
    fn submit_and_wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.buffers.publish();
        self.requests.sync();
        let timeout = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timeout);
        let result = self.submitter.submit_with_args_and_flags(1, &args, self.wait_flags);
        self.requests.sync();
        passing(result)
    }

    #[inline]
    fn has_queue(&self) -> bool {
        !self.requests.is_empty()
    }

    #[inline]
    fn has_news(&mut self) -> bool {
        self.completions.sync();
        !self.completions.is_empty() || self.requests.taskrun()
    }

    #[inline]
    fn next_completion(&mut self) -> io::Result<Option<Completion>> {
        let mut next = self.completions.next();
        if next.is_none() {
            self.completions.sync();
            next = self.completions.next();
        }
        if next.is_none() && self.requests.cq_overflow() {
            // More has completed than there is room for; the kernel kept the rest.
            self.submit()?;
            self.completions.sync();
            next = self.completions.next();
        }
        let Some(entry) = next else { return Ok(None) };
        let buffer = cqueue::buffer_select(entry.flags());
        if let Some(buffer) = buffer {
            self.buffers.take(buffer);
        }
        let more = cqueue::more(entry.flags());
        Ok(Some(Completion { name: entry.user_data(), result: entry.result(), more, buffer }))
    }

    fn flying(&self) -> impl Iterator<Item = u64> {
        self.flying.iter().map(|(name, _)| *name)
    }

    #[inline]
    fn take_sent(&mut self, sent: &mut Vec<(u64, Output)>) {
        if self.requests.is_empty() {
            sent.append(&mut self.flying);
        }
    }

    #[inline]
    fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        self.buffers.bytes(buffer, len)
    }

    #[inline]
    fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }
}

fn build(without_array: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_taskrun_flag();
    builder.setup_cqsize(RING_COMPLETIONS);
    if without_array {
        builder.setup_no_sqarray();
    }
    builder.build(RING_REQUESTS)
}

/// An error unless it only says that nothing happened.
fn passing(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        // EBUSY: completions are to be taken first. EAGAIN: the kernel is out of memory for a moment.
        Err(error)
            if [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN].map(Some).contains(&error.raw_os_error()) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Buffers for what is received, and the ring by which they go to the kernel. A buffer is the kernel's from `give_back` to
/// the completion that names it.
struct Buffers {
    ring: *mut BufRingEntry,
    bytes: *mut u8,
    /// Buffers ever given to the kernel, in the bits that it counts in.
    given: u16,
    published: u16,
    /// Which buffers are not the kernel's.
    ours: [bool; RING_BUFFERS],
}

impl Buffers {
    fn new(submitter: &Submitter<'_>) -> io::Result<Buffers> {
        let page = Box::leak(Box::new(Page([0; PAGE_BYTES])));
        let bytes = Box::leak(vec![0; RING_BUFFERS * READ_BUFFER_BYTES].into_boxed_slice());
        let ring = page.0.as_mut_ptr().cast::<BufRingEntry>();
        // SAFETY: the page is never freed, begins where a page does, and has room for so many entries.
        unsafe { submitter.register_buf_ring_with_flags(ring as u64, RING_BUFFERS as u16, GROUP, 0) }?;
        let mut buffers =
            Buffers { ring, bytes: bytes.as_mut_ptr(), given: 0, published: 0, ours: [true; RING_BUFFERS] };
        (0..RING_BUFFERS as u16).for_each(|buffer| buffers.give_back(buffer));
        buffers.publish();
        Ok(buffers)
    }

    #[inline]
    fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        let buffer = usize::from(buffer);
        assert!(self.ours[buffer] && len <= READ_BUFFER_BYTES, "a buffer is read while it is ours");
        let start = self.bytes.wrapping_add(buffer * READ_BUFFER_BYTES);
        // SAFETY: the buffer lies within `bytes`, which is never freed, and the kernel writes to it only while it is not
        // ours, which a borrow of `self` keeps from changing.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    #[inline]
    fn take(&mut self, buffer: u16) {
        self.ours[usize::from(buffer)] = true;
    }

    #[inline]
    fn give_back(&mut self, buffer: u16) {
        assert!(std::mem::replace(&mut self.ours[usize::from(buffer)], false), "a buffer is given back once");
        let at = usize::from(self.given) % RING_BUFFERS;
        let place = self.ring.wrapping_add(at);
        // SAFETY: the place lies within the page, which is never freed; the kernel reads it only once it is published.
        let entry = unsafe { &mut *place };
        entry.set_addr(self.bytes.wrapping_add(usize::from(buffer) * READ_BUFFER_BYTES) as u64);
        entry.set_len(READ_BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.given = self.given.wrapping_add(1);
    }

    #[inline]
    fn publish(&mut self) {
        if self.given == self.published {
            return;
        }
        self.published = self.given;
        // SAFETY: the page is never freed, and was written by `Page`.
        let tail = unsafe { BufRingEntry::tail(self.ring) };
        // SAFETY: the count has a place of its own, which the kernel reads and nothing else here touches.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.given, Ordering::Release);
    }
}
