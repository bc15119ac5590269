package journeys;

import static journeys.Lib.env;
import static journeys.Lib.need;

import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventHubConsumerAsyncClient;
import com.azure.messaging.eventhubs.models.ReceiveOptions;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * Reads the events of all partitions from a position with a consumer client and prints each, until told to stop. Inputs
 * and lines are those of node/reader.js.
 */
final class ReadEvents {
    private ReadEvents() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            CountDownLatch stop = Lib.toldToStop();
            new Events.Opening(List.of("0", "1", "2", "3")).watch();
            EventHubConsumerAsyncClient client = new EventHubClientBuilder().connectionString(need("EVENTHUB_CONNECTION_STRING"))
                .consumerGroup(Events.group()).transportType(Events.transport()).retryOptions(Events.retries()).buildAsyncConsumerClient();
            ReceiveOptions options = new ReceiveOptions().setTrackLastEnqueuedEventProperties(env("TRACK").equals("1"));
            if (!env("OWNER_LEVEL").isEmpty()) {
                options.setOwnerLevel(Long.parseLong(env("OWNER_LEVEL")));
            }
            client.getPartitionIds().collectList().subscribe(partitions -> {
                for (String partition : partitions) {
                    client.receiveFromPartition(partition, Events.position(partition), options).subscribe(
                        event -> Events.show(partition, event.getData(), event.getLastEnqueuedEventProperties()), Events::showError);
                }
            }, Events::showError);
            stop.await();
            client.close();
        });
    }
}
