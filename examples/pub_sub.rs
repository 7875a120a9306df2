//! Publish and subscribe: messages of a channel, and what happens to keys.
//!
//! `cargo run -- server`, then `cargo run --example pub_sub`.

use aspine::Client;
use aspine::client::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5116".to_owned());
    let client = Client::connect(address).await?;

    let mut news = client.subscribe_channel("news").await?;
    let reader = tokio::spawn(async move {
        while let Some(message) = news.next().await {
            match message {
                Ok(message) if &*message.payload == b"end" => return,
                Ok(message) => println!("news: {}", String::from_utf8_lossy(&message.payload)),
                // The connection broke, or we were slow: something may be missing here.
                Err(gap) => println!("news: {gap}"),
            }
        }
    });
    for text in ["one", "two", "end"] {
        let readers = client.publish("news", text).await?;
        println!("{readers} heard {text}");
    }
    reader.await.expect("the reader ends with the news");

    let mut events = client.subscribe("price:tea").await?;
    client.set("price:tea", 3, None).await?;
    client.incr("price:tea", 1).await?;
    client.delete("price:tea").await?;
    for _ in 0..3 {
        if let Some(Ok(event)) = events.next().await {
            println!("{} {} at {:?}", String::from_utf8_lossy(&event.key), event.event, event.timestamp);
        }
    }
    Ok(())
}
