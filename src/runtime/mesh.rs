//! Mesh: the glommio channels that join every core to every other, one each way.
//!
//! Who fills a channel: the core task of the sender, alone. Who drains it: one task of the receiver, into the inbox.
//! Bound: `CHANNEL_BATCHES`; what does not fit stays in the engine's outbox or in `unsent` here, so that no core waits
//! for another and two full channels can't deadlock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use futures_lite::future;
use glommio::channels::shared_channel::{ConnectedSender, SharedReceiver, SharedSender, new_bounded};
use glommio::{GlommioError, ResourceType};

use crate::engine::Engine;
use crate::engine::batch::Batch;
use crate::engine::route::CoreId;
use crate::limits::CHANNEL_BATCHES;

/// One core's ends of all its channels, before they are connected.
pub(super) struct Ports {
    peers: Vec<(CoreId, SharedSender<Batch>, SharedReceiver<Batch>)>,
}

/// The ends of all cores.
pub(super) fn ports(cores: u16) -> Vec<Ports> {
    let mut ports: Vec<Ports> = (0..cores).map(|_| Ports { peers: Vec::new() }).collect();
    for one in 0..cores {
        for other in one + 1..cores {
            let (send_there, receive_there) = new_bounded(CHANNEL_BATCHES);
            let (send_back, receive_back) = new_bounded(CHANNEL_BATCHES);
            ports[usize::from(one)].peers.push((CoreId(other), send_there, receive_back));
            ports[usize::from(other)].peers.push((CoreId(one), send_back, receive_there));
        }
    }
    ports
}

/// Wakes the core's task: a batch came, or time passed.
#[derive(Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    busy: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The core had something to do.
    pub(super) fn note_busy(&self) {
        self.busy.set(true);
    }

    /// Whether it had, since the last call.
    pub(super) fn take_busy(&self) -> bool {
        self.busy.take()
    }

    /// Whether it was rung since the last call; if not, `waker` will be woken.
    pub(super) fn listen(&self, waker: &Waker) -> bool {
        if self.rung.take() {
            return true;
        }
        *self.waker.borrow_mut() = Some(waker.clone());
        false
    }
}

/// Batches that came and were not handled. Bounded by what the peers may have under way.
pub(super) type Inbox = Rc<RefCell<VecDeque<Batch>>>;

/// One core's side of the mesh.
pub(super) struct Mesh {
    senders: Vec<(CoreId, ConnectedSender<Batch>)>,
    inbox: Inbox,
    /// Batches that did not fit their channel, by peer as in `senders`.
    unsent: Vec<VecDeque<Batch>>,
}

impl Mesh {
    /// Connects all channels, which takes both sides of each, and starts to receive.
    pub(super) async fn connect(ports: Ports, bell: &Rc<Bell>) -> Mesh {
        let inbox = Inbox::default();
        let mut senders = Vec::new();
        for (peer, sender, receiver) in ports.peers {
            // Cores connect in the same order of pairs, each pair both ways at once: no cycle of waiting.
            let (sender, receiver) = future::zip(sender.connect(), receiver.connect()).await;
            senders.push((peer, sender));
            let (inbox, bell) = (Rc::clone(&inbox), Rc::clone(bell));
            glommio::spawn_local(async move {
                while let Some(batch) = receiver.recv().await {
                    inbox.borrow_mut().push_back(batch);
                    bell.ring();
                }
            })
            .detach();
        }
        let unsent = senders.iter().map(|_| VecDeque::new()).collect();
        Mesh { senders, inbox, unsent }
    }

    /// The next batch that came.
    pub(super) fn receive(&self) -> Option<Batch> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Whether there are other cores at all.
    pub(super) fn has_peers(&self) -> bool {
        !self.senders.is_empty()
    }

    /// Sends what the engine has for its peers, as far as there is room. True if some had to stay.
    pub(super) fn send_all(&mut self, engine: &mut Engine) -> bool {
        let mut stayed = false;
        for ((peer, sender), unsent) in self.senders.iter().zip(&mut self.unsent) {
            while let Some(batch) = unsent.pop_front().or_else(|| engine.take_batch(*peer)) {
                match sender.try_send(batch) {
                    Ok(()) => {}
                    Err(GlommioError::WouldBlock(ResourceType::Channel(batch))) => {
                        unsent.push_front(batch);
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
