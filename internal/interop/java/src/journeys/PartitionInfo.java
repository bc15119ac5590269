package journeys;

import static journeys.Lib.need;
import static journeys.Lib.say;

import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventHubConsumerClient;
import com.azure.messaging.eventhubs.EventHubProperties;
import com.azure.messaging.eventhubs.PartitionProperties;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;

/**
 * Asks for the properties of the event hub and of its partitions, and for a partition that is not there. The lines are
 * those of node/partition_info.js. EVENTHUB_CONNECTION_STRING, TRANSPORT
 */
final class PartitionInfo {
    private PartitionInfo() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            EventHubConsumerClient client = new EventHubClientBuilder().connectionString(need("EVENTHUB_CONNECTION_STRING"))
                .consumerGroup("$Default").transportType(Events.transport()).buildConsumerClient();
            EventHubProperties hub = client.getEventHubProperties();
            JsonObject shown = new JsonObject();
            JsonArray partitions = new JsonArray();
            hub.getPartitionIds().forEach(partitions::add);
            shown.addProperty("name", hub.getName());
            shown.addProperty("created", hub.getCreatedAt().toEpochMilli());
            shown.add("partitions", partitions);
            say("eventhub " + Lib.GSON.toJson(shown));
            for (String id : hub.getPartitionIds()) {
                PartitionProperties p = client.getPartitionProperties(id);
                JsonObject of = new JsonObject();
                of.addProperty("partition", p.getId());
                of.addProperty("begin", p.getBeginningSequenceNumber());
                of.addProperty("lastSequence", p.getLastEnqueuedSequenceNumber());
                of.addProperty("lastOffset", p.getLastEnqueuedOffset());
                of.addProperty("lastEnqueued", p.getLastEnqueuedTime().toEpochMilli());
                of.addProperty("empty", p.isEmpty());
                say("partition " + Lib.GSON.toJson(of));
            }
            say("refused " + Events.named(Lib.refusal(() -> client.getPartitionProperties("99"), "a partition that is not there")));
            client.close();
        });
    }
}
