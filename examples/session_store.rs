//! Sessions of a web application: made at login, kept alive by every request, gone after half an hour of silence.
//!
//! `cargo run -- server`, then `cargo run --example session_store`.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aspine::Client;
use aspine::client::{Bincode, Error};
use serde::{Deserialize, Serialize};

const IDLE: Duration = Duration::from_secs(30 * 60);

#[derive(Debug, Serialize, Deserialize)]
struct Session {
    user: String,
    basket: Vec<String>,
}

struct Sessions {
    client: Client,
}

impl Sessions {
    /// Returns the id, for the cookie. A real one takes it from a generator made for secrets.
    async fn begin(&self, user: &str) -> Result<String, Error> {
        let id = format!("{:016x}{:016x}", RandomState::new().hash_one(user), RandomState::new().hash_one(user));
        let session = Session { user: user.to_owned(), basket: Vec::new() };
        self.client.set(key(&id), Bincode(&session), IDLE).await?;
        Ok(id)
    }

    /// The session of a cookie, alive for half an hour more.
    async fn resume(&self, id: &str) -> Result<Option<Session>, Error> {
        let mut both = self.client.pipeline();
        both.get(key(id)).expire(key(id), IDLE);
        let replies = both.run().await?;
        let Some(Ok(reply)) = replies.into_iter().next() else { return Ok(None) };
        Ok(reply.to::<Bincode<Session>>()?.map(|Bincode(session)| session))
    }

    /// Stores a session, unless it has ended meanwhile.
    async fn store(&self, id: &str, session: &Session) -> Result<bool, Error> {
        let watch = self.client.watch([key(id)]).await?;
        if !self.client.exists(key(id)).await? {
            watch.release().await?;
            return Ok(false);
        }
        let mut store = self.client.transaction();
        store.set(key(id), Bincode(session), IDLE)?;
        Ok(watch.commit(store).await?.is_some())
    }

    async fn end(&self, id: &str) -> Result<bool, Error> {
        self.client.delete(key(id)).await
    }
}

fn key(id: &str) -> String {
    format!("session:{id}")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5116".to_owned());
    let sessions = Sessions { client: Client::connect(address).await? };
    let id = sessions.begin("alice").await?;
    let mut session = sessions.resume(&id).await?.expect("it has just begun");
    session.basket.push("tea".to_owned());
    assert!(sessions.store(&id, &session).await?);
    println!("{:?}", sessions.resume(&id).await?);
    assert!(sessions.end(&id).await?);
    assert!(sessions.resume(&id).await?.is_none() && !sessions.store(&id, &session).await?);
    println!("the session has ended");
    Ok(())
}
