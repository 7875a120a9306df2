//! Role: the purpose of a connection, and what its task does besides moving bytes.

use std::sync::{Arc, Weak};

use super::super::hello::Cores;
use super::super::value::Value;
use super::hub::Hub;
use super::router::Router;

/// The purpose of a connection.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// The connection carries requests of all tasks, and reports the server's cores to the router.
    Shared(Weak<Router>),
    /// The connection carries subscriptions.
    Subscriber(Arc<Hub>),
    /// The connection carries the requests of one caller, which depend on its state. It does not reconnect.
    Exclusive,
}

impl Role {
    /// Whether the connection is reopened when it breaks.
    pub(super) fn reconnects(&self) -> bool {
        !matches!(self, Self::Exclusive)
    }

    /// Whether the connection sends heartbeats, since it may carry no other requests.
    pub(super) fn beats(&self) -> bool {
        matches!(self, Self::Subscriber(_))
    }

    /// The connection was opened, to a server with these cores.
    pub(super) fn on_cores(&self, cores: &Cores) {
        if let Self::Shared(router) = self
            && let Some(router) = router.upgrade()
        {
            router.learn(cores);
        }
    }

    /// Writes the first requests of a new connection, if any; returns the number of requests before the fence.
    pub(super) fn restore(&self, out: &mut Vec<u8>) -> Option<u32> {
        match self {
            Self::Subscriber(hub) => hub.restore(out),
            Self::Shared(_) | Self::Exclusive => None,
        }
    }

    /// A push arrived.
    pub(super) fn on_push(&self, items: Vec<Value>) {
        if let Self::Subscriber(hub) = self {
            hub.on_push(items);
        }
    }

    /// The connection broke: messages published until it is restored are missed.
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
