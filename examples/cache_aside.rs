//! Cache-aside: look into the cache, and where it has nothing ask the source and keep the answer for a while.
//!
//! `cargo run -- server`, then `cargo run --example cache_aside`.

use std::time::Duration;

use aspine::Client;
use aspine::client::{Bincode, Error};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

/// A cache that is away must not take the application with it: then the source is asked.
async fn user(cache: &Client, id: u64) -> User {
    let key = format!("user:{id}");
    match cache.get::<Bincode<User>>(&key).await {
        Ok(Some(Bincode(user))) => return user,
        Ok(None) => {}
        Err(error) => eprintln!("the cache is of no use now: {error}"),
    }
    let user = from_database(id);
    if let Err(error) = cache.set(&key, Bincode(&user), Duration::from_secs(300)).await {
        eprintln!("not kept: {error}");
    }
    user
}

/// Changing a user invalidates the cached value.
async fn rename(cache: &Client, id: u64) -> Result<(), Error> {
    cache.delete(format!("user:{id}")).await?;
    Ok(())
}

fn from_database(id: u64) -> User {
    println!("the database is asked for {id}");
    User { id, name: format!("user number {id}") }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5116".to_owned());
    let cache = Client::connect(address).await?;
    rename(&cache, 7).await?;
    // The first asks the database, the second does not.
    let (first, second) = (user(&cache, 7).await, user(&cache, 7).await);
    assert_eq!(first, second);
    println!("{} is {}", second.id, second.name);
    Ok(())
}
