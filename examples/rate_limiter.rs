//! A rate limiter: so many requests a window for each user, counted by INCR in a key that expires with the window.
//!
//! `cargo run -- server`, then `cargo run --example rate_limiter`.

use std::time::Duration;

use aspine::Client;
use aspine::client::Error;

struct Limiter {
    client: Client,
    limit: i64,
    window: Duration,
}

impl Limiter {
    /// Whether a user may go on.
    ///
    /// Both commands go in one transaction, so that no count is left without its end. `NX` lets the window begin with its
    /// first request instead of anew with each.
    async fn allows(&self, user: &str) -> Result<bool, Error> {
        let key = format!("rate:{user}");
        let window_ms = self.window.as_millis().to_string();
        let mut count = self.client.transaction();
        count.incr(&key, 1).command(["PEXPIRE", &key, &window_ms, "NX"]);
        let replies = count.run().await?;
        let Some(Ok(reply)) = replies.into_iter().next() else { return Ok(false) };
        Ok(reply.as_integer().is_some_and(|count| count <= self.limit))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5116".to_owned());
    let client = Client::connect(address).await?;
    client.delete("rate:alice").await?;
    let limiter = Limiter { client: client.clone(), limit: 3, window: Duration::from_secs(60) };
    for request in 1..=5 {
        let allowed = limiter.allows("alice").await?;
        println!("request {request}: {}", if allowed { "welcome" } else { "too many" });
        assert_eq!(allowed, request <= 3);
    }
    println!("the window ends in {:?}", client.ttl("rate:alice").await?.left());
    Ok(())
}
