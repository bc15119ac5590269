package journeys;

import static journeys.Lib.need;

import com.azure.messaging.eventhubs.CheckpointStore;
import com.azure.messaging.eventhubs.EventProcessorClient;
import com.azure.messaging.eventhubs.EventProcessorClientBuilder;
import com.azure.messaging.eventhubs.LoadBalancingStrategy;
import com.azure.messaging.eventhubs.models.Checkpoint;
import com.azure.messaging.eventhubs.models.PartitionOwnership;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/**
 * Reads the events of all partitions with processor clients, which share the partitions, and prints each, until told to
 * stop. Every event is a checkpoint. Inputs and lines are those of node/reader.js; two processors start one after the
 * other.
 */
final class ReadProcessor {
    private ReadProcessor() {}

    /** Keeps checkpoints and ownership in memory, as the SDK's own samples do: two processors of one program share it. */
    private static final class MemoryStore implements CheckpointStore {
        private final Map<String, PartitionOwnership> owners = new ConcurrentHashMap<>();
        private final Map<String, Checkpoint> checkpoints = new ConcurrentHashMap<>();

        @Override
        public Flux<PartitionOwnership> listOwnership(String namespace, String eventHub, String group) {
            return Flux.fromIterable(owners.values());
        }

        @Override
        public synchronized Flux<PartitionOwnership> claimOwnership(List<PartitionOwnership> wanted) {
            return Flux.fromIterable(wanted.stream().filter(claim -> {
                PartitionOwnership held = owners.get(claim.getPartitionId());
                boolean free = held == null || held.getETag().equals(claim.getETag());
                if (free) {
                    owners.put(claim.getPartitionId(), claim.setETag(UUID.randomUUID().toString()).setLastModifiedTime(System.currentTimeMillis()));
                }
                return free;
            }).toList());
        }

        @Override
        public Flux<Checkpoint> listCheckpoints(String namespace, String eventHub, String group) {
            return Flux.fromIterable(checkpoints.values());
        }

        @Override
        public Mono<Void> updateCheckpoint(Checkpoint checkpoint) {
            checkpoints.put(checkpoint.getPartitionId(), checkpoint);
            return Mono.empty();
        }
    }

    private static EventProcessorClient processor(CheckpointStore store) {
        EventProcessorClient client = new EventProcessorClientBuilder().connectionString(need("EVENTHUB_CONNECTION_STRING"))
            .consumerGroup(Events.group()).transportType(Events.transport()).retryOptions(Events.retries()).checkpointStore(store)
            .loadBalancingStrategy(LoadBalancingStrategy.GREEDY).loadBalancingUpdateInterval(Duration.ofMillis(500))
            .partitionOwnershipExpirationInterval(Duration.ofSeconds(20)).initialPartitionEventPosition(Events::position)
            .processEvent(context -> {
                Events.show(context.getPartitionContext().getPartitionId(), context.getEventData(), context.getLastEnqueuedEventProperties());
                context.updateCheckpoint();
            })
            .processError(context -> Events.showError(context.getThrowable())).buildEventProcessorClient();
        client.start();
        return client;
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            CountDownLatch stop = Lib.toldToStop();
            new Events.Opening(List.of("0", "1", "2", "3")).watch();
            CheckpointStore store = new MemoryStore();
            EventProcessorClient first = processor(store);
            EventProcessorClient second = args[0].equals("two") ? processor(store) : null;
            stop.await();
            first.stop();
            if (second != null) {
                second.stop();
            }
        });
    }
}
