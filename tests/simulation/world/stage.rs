//! Stage: the actors of a world come, say what they have to say, and are checked.

use super::{CLIENTS_MAX, World};
use crate::actors::{Actors, Scene};
use crate::client::Client;

impl World {
    /// What the actors need is there before anybody else says anything.
    pub(super) fn open(&mut self) {
        let conn = self.cluster.connect(0);
        let auth = if self.plan.auth { "AUTH secret\r\n" } else { "" };
        for kind in &self.actors {
            self.cluster.bytes(conn, format!("{auth}{}", kind.opening()).as_bytes());
            self.cluster.settle();
            self.cluster.send(conn, usize::MAX);
        }
        self.cluster.engines[0].on_disconnect(conn.id);
    }

    /// One more of each kind that wants one.
    pub(super) fn let_actors_in(&mut self) {
        for kind in 0..self.actors.len() {
            let (actors, mut scene) = self.stage();
            if !actors[kind].wants_another(&mut scene) || self.clients.len() >= CLIENTS_MAX {
                continue;
            }
            let any = self.schedule.below(self.plan.cores);
            let (core, by_core_port) = self.actors[kind].door().unwrap_or((any, false));
            let conn = self.cluster.connect_by(core, by_core_port);
            let mut client = Client::new(conn);
            let number = self.clients.iter().filter(|client| client.actor.is_some_and(|(of, _)| of == kind)).count();
            client.actor = Some((kind, number));
            if self.plan.auth {
                client.stream.extend_from_slice(b"AUTH secret\r\n");
                client.skips = 1;
            }
            self.clients.push(client);
            let (actors, mut scene) = self.stage();
            actors[kind].arrive(conn, &mut scene);
        }
    }

    /// The actors, and what they may look at.
    pub(super) fn stage(&mut self) -> (&mut [Box<dyn Actors>], Scene<'_>) {
        let World { actors, acts, marks, step, cluster, .. } = self;
        (actors, Scene { rng: acts, marks, step: *step, cluster })
    }

    /// Whether everything is to come to rest now, so that actors can be checked.
    pub fn rests(&mut self) -> bool {
        let rests = !self.actors.is_empty() && self.schedule.one_in(300);
        self.marks.rested += u64::from(rests);
        rests
    }

    /// Whether all that actors know agrees with what is there, when nothing is under way.
    pub fn look_at_rest(&mut self) -> Result<(), String> {
        let (actors, mut scene) = self.stage();
        actors.iter_mut().try_for_each(|kind| kind.at_rest(&mut scene))
    }

    /// An actor says something more.
    pub(super) fn act(&mut self, at: usize, (kind, number): (usize, usize)) {
        let (actors, mut scene) = self.stage();
        let said = actors[kind].ask(number, &mut scene);
        let owed = actors[kind].owed(number);
        self.ops_left -= usize::from(!said.is_empty());
        self.clients[at].stream.extend(said);
        self.clients[at].owes_actor = owed;
    }
}
