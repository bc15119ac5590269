package journeys;

import static journeys.Lib.env;
import static journeys.Lib.need;
import static journeys.Lib.say;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackBatch;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackRecord;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import com.microsoft.azure.sdk.iot.service.messaging.MessageFeedbackProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;

/**
 * A back end, driven as node/c2d_service.js is. One message goes out after the other.
 *
 * <p>HUB_CONNECTION_STRING; TRANSPORT=amqp or amqp-ws; FEEDBACK=1: hears of outcomes, too
 */
final class C2dService {
    private C2dService() {}

    private static AcknowledgementType hear(FeedbackBatch batch) {
        JsonArray records = new JsonArray();
        for (FeedbackRecord record : batch.getRecords()) {
            JsonObject shown = new JsonObject();
            shown.addProperty("enqueuedTimeUtc", record.getEnqueuedTimeUtc().toInstant().toString());
            shown.addProperty("originalMessageId", record.getOriginalMessageId());
            shown.addProperty("description", record.getDescription());
            shown.addProperty("statusCode", camelCase(record.getStatusCode().name()));
            shown.addProperty("deviceId", record.getDeviceId());
            shown.addProperty("deviceGenerationId", record.getDeviceGenerationId());
            records.add(shown);
        }
        say("feedback " + Lib.GSON.toJson(records));
        return AcknowledgementType.COMPLETE;
    }

    /** Undoes what the SDK makes of a status: DeliveryCountExceeded has the name deliveryCountExceeded. */
    private static String camelCase(String name) {
        return name.substring(0, 1).toUpperCase() + name.substring(1);
    }

    private static void send(MessagingClient client, JsonObject command) {
        int number = command.get("n").getAsInt();
        try {
            Message message = C2d.message(command.getAsJsonObject("message"));
            client.send(command.get("device").getAsString(), message);
            say("sent " + number);
        } catch (Exception error) {
            say("refused " + number + " " + error.getClass().getSimpleName());
        }
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            IotHubServiceClientProtocol protocol =
                env("TRANSPORT").equals("amqp-ws") ? IotHubServiceClientProtocol.AMQPS_WS : IotHubServiceClientProtocol.AMQPS;
            String hub = need("HUB_CONNECTION_STRING");
            MessagingClient client = new MessagingClient(hub, protocol);
            client.open();
            MessageFeedbackProcessorClient feedback = new MessageFeedbackProcessorClient(hub, protocol, C2dService::hear);
            if (env("FEEDBACK").equals("1")) {
                feedback.start();
            }
            say("ready");
            Lib.eachCommand(command -> send(client, command));
            client.close();
            if (feedback.isRunning()) {
                feedback.stop();
            }
        });
    }
}
