//! Topology replies: what clients are told of the cores: ASPINE.CORES, and CLUSTER, to which each core is a node that owns its
//! slots. Core: the session's home.
//!
//! Nothing here ever changes while the process runs, so what names all cores is encoded once for each host that clients
//! are told and each protocol, and then copied. Cost: a look-up among a few. Never: looks at a key, asks another core.

use std::net::{IpAddr, SocketAddr};

use crate::command::errors::{self, quote};
use crate::command::handler::Told;
use crate::command::{Client, Error};
use crate::engine::env::ProcessFacts;
use crate::engine::route::Router;
use crate::limits::{SLOTS, TOPOLOGIES_KEPT_MAX};
use crate::resp::{Args, Proto, Writer};
use crate::slot::{CoreId, Slot};

/// What was encoded. Filled by who asks first, drained by nobody: past `TOPOLOGIES_KEPT_MAX` the oldest makes room.
#[derive(Debug, Default)]
pub(super) struct Topology {
    encoded: Vec<Encoded>,
    /// The one that makes room next.
    oldest: usize,
}

/// A reply, and for whom.
#[derive(Debug)]
struct Encoded {
    told: Told,
    proto: Proto,
    /// The address the client connected to, if that is the host it is told.
    address: Option<IpAddr>,
    bytes: Vec<u8>,
}

impl Topology {
    /// The reply to those, encoded by `encode` for the first of them.
    pub(super) fn get(
        &mut self,
        (told, proto, address): (Told, Proto, Option<IpAddr>),
        encode: impl FnOnce(&mut Writer<'_>),
    ) -> &[u8] {
        let same = |known: &Encoded| known.told == told && known.proto == proto && known.address == address;
        let at = self.encoded.iter().position(same).unwrap_or_else(|| {
            let mut bytes = Vec::new();
            encode(&mut Writer::new(&mut bytes, proto));
            let new = Encoded { told, proto, address, bytes };
            if self.encoded.len() < TOPOLOGIES_KEPT_MAX {
                self.encoded.push(new);
                return self.encoded.len() - 1;
            }
            let at = self.oldest;
            self.oldest = (at + 1) % TOPOLOGIES_KEPT_MAX;
            self.encoded[at] = new;
            at
        });
        &self.encoded[at].bytes
    }
}

/// The cores as one of them sees them.
pub(super) struct Map<'a> {
    pub(super) process: &'a ProcessFacts,
    pub(super) router: Router,
}

impl Map<'_> {
    /// The address to tell a client: the one it has connected to. `None` if it is told a host that does not depend on it.
    pub(super) fn address_told(&self, client: &Client) -> Option<IpAddr> {
        if self.process.announced_host.is_some() {
            return None;
        }
        client.local_addr.parse().ok().map(|address: SocketAddr| address.ip().to_canonical())
    }

    fn host(&self, address: Option<IpAddr>) -> String {
        match (&self.process.announced_host, address) {
            (Some(host), _) => host.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => self.process.host.clone(),
        }
    }

    /// A core, its port, its first and its last slot.
    fn rows(&self) -> impl Iterator<Item = (CoreId, u16, Slot, Slot)> {
        let cores = self.router.cores();
        (0..cores).map(CoreId).map(move |core| {
            let (first, last) = Slot::range(core, cores);
            (core, self.process.core_ports.get(usize::from(core.0)).copied().unwrap_or(0), first, last)
        })
    }

    /// 40 hexadecimal digits, as Redis's ids: first the core, since tools show no more than eight, then `kind`, which tells
    /// nodes from shards, then the process's own, which are new at every start.
    fn id(&self, kind: char, core: CoreId) -> String {
        let run = self.process.run_id.get(..35).unwrap_or_default();
        format!("{:04x}{kind}{run:0<35}", core.0)
    }

    fn node_id(&self, core: CoreId) -> String {
        self.id('0', core)
    }

    /// What names all cores.
    pub(super) fn write(&self, told: Told, address: Option<IpAddr>, writer: &mut Writer<'_>) {
        let host = self.host(address);
        match told {
            Told::Slots => self.write_slots(&host, writer),
            Told::Shards => self.write_shards(&host, writer),
            Told::Nodes => writer.verbatim(self.nodes(&host).as_bytes()),
            _ => self.write_cores(&host, writer),
        }
    }

    /// What is short.
    pub(super) fn write_small(&self, told: Told, args: Args<'_>, writer: &mut Writer<'_>) {
        match told {
            Told::Info => writer.verbatim(self.info().as_bytes()),
            Told::KeySlot => writer.integer(Slot::of(args.at(0)).0.into()),
            Told::Links => writer.array(0),
            Told::MyId => writer.bulk(self.node_id(self.router.core()).as_bytes()),
            Told::MyShardId => writer.bulk(self.id('1', self.router.core()).as_bytes()),
            Told::Replicas if !self.rows().any(|row| self.node_id(row.0).as_bytes() == args.at(0)) => {
                errors::error(writer, &Error::UnknownNode(quote(args.at(0))));
            }
            Told::Replicas => writer.array(0),
            _ => writer.ok(),
        }
    }

    /// ASPINE.CORES: a map; of each core its number, port, first and last slot.
    fn write_cores(&self, host: &str, writer: &mut Writer<'_>) {
        writer.map(5);
        writer.bulk(b"run_id");
        writer.bulk(self.process.run_id.as_bytes());
        writer.bulk(b"core");
        writer.integer(self.router.core().0.into());
        writer.bulk(b"host");
        writer.bulk(host.as_bytes());
        writer.bulk(b"port");
        writer.integer(self.process.port.into());
        writer.bulk(b"cores");
        writer.array(self.router.cores().into());
        for (core, port, first, last) in self.rows() {
            writer.array(4);
            for number in [core.0, port, first.0, last.0] {
                writer.integer(number.into());
            }
        }
    }

    /// Each range of slots, and its node: host, port, id, and nothing more to say of it.
    fn write_slots(&self, host: &str, writer: &mut Writer<'_>) {
        writer.array(self.router.cores().into());
        for (core, port, first, last) in self.rows() {
            writer.array(3);
            writer.integer(first.0.into());
            writer.integer(last.0.into());
            writer.array(4);
            writer.bulk(host.as_bytes());
            writer.integer(port.into());
            writer.bulk(self.node_id(core).as_bytes());
            writer.array(0);
        }
    }

    fn write_shards(&self, host: &str, writer: &mut Writer<'_>) {
        // As Redis has it, a name is told beside the address; here it stands for that too.
        let is_name = host.parse::<IpAddr>().is_err();
        writer.array(self.router.cores().into());
        for (core, port, first, last) in self.rows() {
            writer.map(2);
            writer.bulk(b"slots");
            writer.array(2);
            writer.integer(first.0.into());
            writer.integer(last.0.into());
            writer.bulk(b"nodes");
            writer.array(1);
            writer.map(7 + usize::from(is_name));
            writer.bulk(b"id");
            writer.bulk(self.node_id(core).as_bytes());
            writer.bulk(b"port");
            writer.integer(port.into());
            let hosts = [("ip", host), ("endpoint", host), ("hostname", host)];
            for (field, value) in &hosts[..2 + usize::from(is_name)] {
                writer.bulk(field.as_bytes());
                writer.bulk(value.as_bytes());
            }
            writer.bulk(b"role");
            writer.bulk(b"master");
            writer.bulk(b"replication-offset");
            writer.integer(0);
            writer.bulk(b"health");
            writer.bulk(b"online");
        }
    }

    /// A line a core. There is no cluster bus, so its port is 0.
    fn nodes(&self, host: &str) -> String {
        let name = if host.parse::<IpAddr>().is_err() { format!(",{host}") } else { String::new() };
        let line = |(core, port, first, last): (CoreId, u16, Slot, Slot)| {
            let myself = if self.router.peer(core).is_none() { "myself," } else { "" };
            let (id, epoch, first, last) = (self.node_id(core), core.0 + 1, first.0, last.0);
            format!("{id} {host}:{port}@0{name} {myself}master - 0 0 {epoch} connected {first}-{last}\n")
        };
        self.rows().map(line).collect()
    }

    fn info(&self) -> String {
        let (cores, epoch) = (self.router.cores(), self.router.core().0 + 1);
        let fields = [
            "state:ok".to_owned(),
            format!("slots_assigned:{SLOTS}"),
            format!("slots_ok:{SLOTS}"),
            "slots_pfail:0".to_owned(),
            "slots_fail:0".to_owned(),
            format!("known_nodes:{cores}"),
            format!("size:{cores}"),
            format!("current_epoch:{cores}"),
            format!("my_epoch:{epoch}"),
            "stats_messages_sent:0".to_owned(),
            "stats_messages_received:0".to_owned(),
        ];
        let lines: String = fields.iter().map(|field| format!("cluster_{field}\r\n")).collect();
        lines + "total_cluster_links_buffer_limit_exceeded:0\r\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_all_cores_is_encoded_once_for_each_host_and_protocol() {
        let mut topology = Topology::default();
        let mut encoded = 0;
        let address = |last: usize| Some(IpAddr::from([127, 0, 0, last as u8]));
        let mut ask = |told, proto, address| {
            let mut new = false;
            let reply = topology.get((told, proto, address), |writer| {
                new = true;
                writer.bulk(format!("{told:?} {address:?}").as_bytes());
            });
            assert!(reply.ends_with(format!("{told:?} {address:?}\r\n").as_bytes()));
            encoded += usize::from(new);
            (encoded, topology.encoded.len())
        };
        for _ in 0..3 {
            assert_eq!(ask(Told::Slots, Proto::Resp2, address(1)).1, 1);
        }
        assert_eq!(ask(Told::Slots, Proto::Resp3, address(1)), (2, 2));
        assert_eq!(ask(Told::Slots, Proto::Resp2, None), (3, 3));
        assert_eq!(ask(Told::Nodes, Proto::Resp2, address(1)), (4, 4));
        // Whoever connects to one address after the other has no more kept than so many.
        for last in 2..100 {
            assert!(ask(Told::Slots, Proto::Resp2, address(last)).1 <= TOPOLOGIES_KEPT_MAX);
        }
        assert_eq!(ask(Told::Slots, Proto::Resp2, address(99)), (102, TOPOLOGIES_KEPT_MAX), "the last is there");
        assert_eq!(ask(Told::Slots, Proto::Resp2, address(1)), (103, TOPOLOGIES_KEPT_MAX), "the first had to go");
    }
}
