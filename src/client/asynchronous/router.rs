//! Router: chooses the connection of a request.
//!
//! Without core ports a request takes a connection to the server's one port. With them it takes a connection to the core that
//! owns the key's slot; while that one is down, a connection to the one port, since every core answers every key. A request
//! without a key takes the one port, which answers for all cores. Each new connection learns the server's cores; if
//! they have changed, connections to the new cores are opened and those to the old ones closed.

use std::sync::{Arc, Weak};

use super::super::error::Error;
use super::super::hello::Cores;
use super::super::options::{Options, Place};
use super::driver::{Wire, drive, open};
use super::link::Link;
use super::lock::Lock;
use super::role::Role;
use crate::slot::Slot;

/// All shared connections of one client.
#[derive(Debug)]
pub(super) struct Router {
    options: Arc<Options>,
    place: Place,
    /// Connections to the one port.
    main: Vec<Arc<Link>>,
    cores: Lock<Topology>,
    myself: Weak<Router>,
}

#[derive(Debug, Default)]
struct Topology {
    /// The core ports; empty: the server has none.
    ports: Vec<u16>,
    /// Connections to the cores: first all to core 0, then all to core 1, and so on.
    links: Vec<Arc<Link>>,
}

impl Router {
    /// Connects to the one port and to each core.
    pub(super) async fn connect(options: Arc<Options>, place: Place) -> Result<Arc<Router>, Error> {
        let (wire, cores) = open(&options, &place).await?;
        let router = Arc::new_cyclic(|myself| {
            let main = (0..options.connections_per_core).map(|_| Arc::new(Link::new(options.clone()))).collect();
            Router { place, main, cores: Lock::default(), myself: myself.clone(), options }
        });
        let mut wire = Some(wire);
        for link in &router.main {
            router.start(link.clone(), router.place.clone(), wire.take());
        }
        if let Some(cores) = cores {
            router.connect_cores(&cores).await;
        }
        Ok(router)
    }

    /// The connection for a request with or without a key.
    #[inline]
    pub(super) fn link(&self, key: Option<&[u8]>) -> Arc<Link> {
        let each = self.main.len();
        let cores = self.cores.lock();
        let Some(key) = key.filter(|_| each > 1 || !cores.links.is_empty()) else {
            return self.main[0].clone();
        };
        let slot = Slot::of(key);
        let at = usize::from(slot.0) % each;
        if !cores.links.is_empty() {
            let core = usize::from(slot.owner(cores.ports.len() as u16).0);
            let link = &cores.links[core * each + at];
            if link.is_up() {
                return link.clone();
            }
        }
        self.main[at].clone()
    }

    /// Takes note of the server's current cores.
    pub(super) fn learn(&self, cores: &Cores) {
        for (link, place) in self.adopt(cores) {
            self.start(link, place, None);
        }
    }

    /// As `learn`, and waits until each connection is open or refused, so that the first requests reach their cores.
    async fn connect_cores(&self, cores: &Cores) {
        let opening = self.adopt(cores).into_iter().map(|(link, place)| {
            let options = self.options.clone();
            let to = place.clone();
            (link, place, tokio::spawn(async move { open(&options, &to).await }))
        });
        for (link, place, opened) in opening.collect::<Vec<_>>() {
            // Without a connection the driver keeps trying, and the one port serves.
            let wire = opened.await.ok().and_then(Result::ok).map(|(wire, _)| wire);
            if wire.is_some() {
                link.on_connected(|_| None);
            }
            self.start(link, place, wire);
        }
    }

    /// Adopts the server's cores, and returns the connections to open.
    fn adopt(&self, cores: &Cores) -> Vec<(Arc<Link>, Place)> {
        // A client of a Unix socket may have no other way to reach the server.
        let Place::Tcp { host, .. } = &self.place else { return Vec::new() };
        let mut topology = self.cores.lock();
        if topology.ports == cores.ports {
            return Vec::new();
        }
        let each = self.main.len();
        let mut old = std::mem::take(&mut *topology);
        let mut new = Vec::new();
        for (core, port) in cores.ports.iter().enumerate() {
            for at in 0..each {
                let known = old.ports.get(core) == Some(port);
                topology.links.push(if known {
                    old.links[core * each + at].clone()
                } else {
                    let link = Arc::new(Link::new(self.options.clone()));
                    new.push((link.clone(), Place::Tcp { host: host.clone(), port: *port }));
                    link
                });
            }
        }
        topology.ports.clone_from(&cores.ports);
        old.links.retain(|link| !topology.links.iter().any(|kept| Arc::ptr_eq(kept, link)));
        drop(topology);
        old.links.iter().for_each(|link| link.close());
        new
    }

    fn start(&self, link: Arc<Link>, place: Place, wire: Option<Wire>) {
        tokio::spawn(drive(link, place, Role::Shared(self.myself.clone()), wire));
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.main.iter().for_each(|link| link.close());
        self.cores.lock().links.iter().for_each(|link| link.close());
    }
}
