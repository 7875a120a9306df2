//! Mesh: the glommio channels that join every core to every other, one each way.
//!
//! A channel is filled by the core task of the sender alone, and drained by the core task of the receiver alone. Bound:
//! `CHANNEL_BATCHES`; batches that do not fit stay in the engine's outbox or in `unsent` here, so that no core waits for
//! another and two full channels can't deadlock.
//!
//! A channel has no way to ask whether it is empty: a poll that finds nothing leaves a waker behind. So each has a count of
//! the batches ever sent, which the receiver compares with the count it has received; then a core needs no pass through
//! the reactor (four system calls) to get its batches, and no task to wait for them: a doorbell wakes it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_lite::future;
use glommio::channels::shared_channel::{
    ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender, new_bounded,
};
use glommio::{GlommioError, ResourceType};

use super::doorbell::Doorbells;
use crate::engine::Batch;
use crate::engine::Engine;
use crate::limits::CHANNEL_BATCHES;
use crate::slot::CoreId;

/// The number of batches ever sent over a channel. Written by its sender after each, read by its receiver.
type SentCount = Arc<AtomicU64>;

/// The ends of the two channels to one peer, before they are connected.
struct Port {
    peer: CoreId,
    sender: (SharedSender<Batch>, SentCount),
    receiver: (SharedReceiver<Batch>, SentCount),
}

/// One core's ends of all its channels, before they are connected.
pub(super) struct Ports {
    peers: Vec<Port>,
}

/// Creates the channels of all cores.
pub(super) fn ports(cores: u16) -> Vec<Ports> {
    let mut ports: Vec<Ports> = (0..cores).map(|_| Ports { peers: Vec::new() }).collect();
    for one in 0..cores {
        for other in one + 1..cores {
            let ((send_there, receive_there), there) = (new_bounded(CHANNEL_BATCHES), SentCount::default());
            let ((send_back, receive_back), back) = (new_bounded(CHANNEL_BATCHES), SentCount::default());
            ports[usize::from(one)].peers.push(Port {
                peer: CoreId(other),
                sender: (send_there, Arc::clone(&there)),
                receiver: (receive_back, Arc::clone(&back)),
            });
            ports[usize::from(other)].peers.push(Port {
                peer: CoreId(one),
                sender: (send_back, back),
                receiver: (receive_there, there),
            });
        }
    }
    ports
}

/// The receiving end of one channel.
struct Incoming {
    receiver: ConnectedReceiver<Batch>,
    sent: SentCount,
    received: u64,
}

/// The sending end of one channel.
struct Outgoing {
    peer: CoreId,
    sender: ConnectedSender<Batch>,
    sent: SentCount,
    /// Batches that did not fit.
    unsent: VecDeque<Batch>,
}

/// One core's side of the mesh.
pub(super) struct Mesh {
    outgoing: Vec<Outgoing>,
    incoming: Vec<Incoming>,
}

impl Mesh {
    /// Connects all channels, each of which needs both sides.
    pub(super) async fn connect(ports: Ports) -> Mesh {
        let mut mesh = Mesh { outgoing: Vec::new(), incoming: Vec::new() };
        for Port { peer, sender: (sender, sent), receiver: (receiver, theirs) } in ports.peers {
            // Cores connect in the same order of pairs, each pair both ways at once: no cycle of waiting.
            let (sender, receiver) = future::zip(sender.connect(), receiver.connect()).await;
            mesh.outgoing.push(Outgoing { peer, sender, sent, unsent: VecDeque::new() });
            mesh.incoming.push(Incoming { receiver, sent: theirs, received: 0 });
        }
        mesh
    }

    /// Takes the next batch.
    pub(super) fn receive(&mut self) -> Option<Batch> {
        self.incoming.iter_mut().find_map(Incoming::take)
    }

    /// Whether there are other cores.
    pub(super) fn has_peers(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether a channel holds a batch.
    pub(super) fn has_waiting(&self) -> bool {
        self.incoming.iter().any(Incoming::has_waiting)
    }

    /// Sends the engine's batches to the peers, as far as there is room, and wakes peers that nap. True if some batches had
    /// to stay.
    pub(super) fn send_all(&mut self, engine: &mut Engine, doorbells: &Doorbells) -> bool {
        let mut stayed = false;
        for outgoing in &mut self.outgoing {
            while let Some(batch) = outgoing.unsent.pop_front().or_else(|| engine.take_batch(outgoing.peer)) {
                match outgoing.sender.try_send(batch) {
                    Ok(()) => {
                        outgoing.sent.fetch_add(1, Ordering::SeqCst);
                        doorbells.wake(outgoing.peer);
                    }
                    Err(GlommioError::WouldBlock(ResourceType::Channel(batch))) => {
                        outgoing.unsent.push_front(batch);
                        stayed = true;
                        break;
                    }
                    // The peer has ended, as this core will.
                    Err(_) => break,
                }
            }
        }
        stayed
    }
}

impl Incoming {
    /// The count may lag behind the channel, but never leads it.
    #[inline]
    fn has_waiting(&self) -> bool {
        self.sent.load(Ordering::SeqCst) > self.received
    }

    /// Takes a batch, if the channel holds one.
    #[inline]
    fn take(&mut self) -> Option<Batch> {
        if !self.has_waiting() {
            return None;
        }
        let received = pin!(self.receiver.recv());
        match received.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(batch)) => {
                self.received += 1;
                Some(batch)
            }
            Poll::Ready(None) | Poll::Pending => None,
        }
    }
}
