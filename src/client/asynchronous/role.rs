//! What a connection is for, and so what else its task does.

use std::sync::{Arc, Weak};

use super::super::hello::Cores;
use super::super::value::Value;
use super::hub::Hub;
use super::router::Router;

/// What a connection is for.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Requests of everyone. Tells the router what cores the server has.
    Shared(Weak<Router>),
    /// Subscriptions.
    Subscriber(Arc<Hub>),
    /// Requests of one caller that belong together: it ends when it breaks.
    Exclusive,
}

impl Role {
    /// Whether it is made anew when it breaks.
    pub(super) fn reconnects(&self) -> bool {
        !matches!(self, Self::Exclusive)
    }

    /// Whether it asks now and then if the server is still there, since nobody else may.
    pub(super) fn beats(&self) -> bool {
        matches!(self, Self::Subscriber(_))
    }

    /// It was connected again, to a server of these cores.
    pub(super) fn on_cores(&self, cores: &Cores) {
        if let Self::Shared(router) = self
            && let Some(router) = router.upgrade()
        {
            router.learn(cores);
        }
    }

    /// Writes what a new connection begins with: returns how many requests, if any, stand before its fence.
    pub(super) fn restore(&self, out: &mut Vec<u8>) -> Option<u32> {
        match self {
            Self::Subscriber(hub) => hub.restore(out),
            Self::Shared(_) | Self::Exclusive => None,
        }
    }

    /// Something came that nobody asked for.
    pub(super) fn on_push(&self, items: Vec<Value>) {
        if let Self::Subscriber(hub) = self {
            hub.on_push(items);
        }
    }

    /// The connection broke: what is published until it is back is not heard.
    pub(super) fn on_gap(&self) {
        if let Self::Subscriber(hub) = self {
            hub.on_gap();
        }
    }

    /// The connection's task has ended.
    pub(super) fn on_end(&self) {
        if let Self::Subscriber(hub) = self {
            hub.on_end();
        }
    }
}
