//! Topology: tells clients of the cores. Core: the session's home, at once; what is said is in `topology_replies`.

use crate::command::Error;
use crate::command::handler::Told;
use crate::engine::core::Core;
use crate::engine::home::Home;
use crate::engine::home::topology_replies::Map;
use crate::engine::home::trip::{Flow, Trip};
use crate::engine::ids::SessionId;
use crate::resp::{Args, Writer};

impl Home {
    /// Tells a client of the cores.
    pub(super) fn dispatch_topology(
        &mut self,
        core: &mut Core,
        id: SessionId,
        told: Told,
        args: Args<'_>,
        trip: Trip,
    ) -> Flow {
        if told != Told::Cores && !core.env.process.shows_cluster() {
            return self.fail(core, id, args, trip, &Error::ClusterDisabled);
        }
        let Home { sessions, topology, .. } = self;
        let Some(session) = sessions.writable(id) else { return Flow::End };
        let env = &mut core.env;
        env.meter.begin();
        let proto = session.client.proto;
        let map = Map { process: &env.process, router: env.router };
        let mut other = Vec::new();
        let reply = match told {
            Told::Cores | Told::Nodes | Told::Shards | Told::Slots => {
                let address = map.address_told(&session.client);
                topology.get((told, proto, address), |writer| map.write(told, address, writer))
            }
            _ => {
                map.write_small(told, args, &mut Writer::new(&mut other, proto));
                &other
            }
        };
        let slow_ns = env.meter.end(trip.command, reply);
        if !trip.muted {
            session.replies.append(|out| out.extend_from_slice(reply));
        }
        if let Some(ns) = slow_ns {
            env.note_call(trip.command, args, ns, &session.client);
        }
        Flow::Next
    }
}
