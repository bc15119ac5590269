// Reads an event hub with azure_messaging_eventhubs for Rust: its properties, those of each partition, and all events from the
// start. It prints "ready", "partition ID LAST" and "event", and ends when its standard input does.
// EVENTHUB_CONNECTION_STRING comes from the environment, and SSL_CERT_FILE, which names the authority to trust.
// ../testdata/README.md says how it is built.
use azure_messaging_eventhubs::{ConsumerClient, OpenReceiverOptions, StartLocation, StartPosition};
use futures::StreamExt;
use std::io::Read;

// One thread: with several, fe2o3-amqp 0.16.2 notes a message that it has sent after it is on its way, drops a disposition that
// comes before that, and waits for it for ever. Its link/sender_link.rs, send_payload_with_transfer, shows it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let connection_string = std::env::var("EVENTHUB_CONNECTION_STRING")?;
    let consumer = ConsumerClient::builder()
        .with_application_id("recorder".to_string())
        .open_with_connection_string(&connection_string, None)
        .await?;
    let properties = consumer.get_eventhub_properties().await?;
    let mut receivers = Vec::new();
    for id in properties.partition_ids {
        let partition = consumer.get_partition_properties(&id).await?;
        let events = partition.last_enqueued_sequence_number - partition.beginning_sequence_number + 1;
        println!("partition {} {}", partition.id, partition.last_enqueued_sequence_number);
        let options = OpenReceiverOptions {
            start_position: Some(StartPosition { location: StartLocation::Earliest, ..Default::default() }),
            ..Default::default()
        };
        receivers.push((consumer.open_receiver_on_partition(id, Some(options)).await?, events));
    }
    println!("ready");
    for (receiver, events) in &receivers {
        let mut stream = receiver.stream_events();
        for _ in 0..*events {
            match stream.next().await {
                Some(event) => event?,
                None => return Err("the stream has ended".into()),
            };
            println!("event");
        }
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    for (receiver, _) in receivers {
        receiver.close().await?;
    }
    consumer.close().await?;
    Ok(())
}
