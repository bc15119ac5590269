package journeys;

import static journeys.Lib.env;
import static journeys.Lib.need;
import static journeys.Lib.say;

import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.AmqpTransportType;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.core.amqp.models.AmqpAnnotatedMessage;
import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.LastEnqueuedEventProperties;
import com.google.gson.JsonObject;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the programs that read events share: where to start, and the lines they print. node/reader.js tells both.
 */
final class Events {
    private Events() {}

    static AmqpTransportType transport() {
        return env("TRANSPORT").equals("ws") ? AmqpTransportType.AMQP_WEB_SOCKETS : AmqpTransportType.AMQP;
    }

    static String group() {
        return env("CONSUMER_GROUP").isEmpty() ? "$Default" : env("CONSUMER_GROUP");
    }

    /** Tries often, and soon: a hub that is restarted is away for a second. */
    static AmqpRetryOptions retries() {
        return new AmqpRetryOptions().setDelay(Duration.ofMillis(300)).setMaxDelay(Duration.ofSeconds(1)).setMaxRetries(60);
    }

    static EventPosition position(String partition) {
        String start = env("START");
        boolean inclusive = env("INCLUSIVE").equals("1");
        switch (start) {
            case "", "earliest":
                return EventPosition.earliest();
            case "latest":
                return EventPosition.latest();
            case "time":
                return EventPosition.fromEnqueuedTime(Instant.ofEpochMilli(Long.parseLong(need("POSITIONS"))));
            default:
        }
        String position = Lib.strings("POSITIONS").get(partition);
        if (position == null) {
            return EventPosition.earliest();
        }
        if (start.equals("sequence")) {
            return EventPosition.fromSequenceNumber(Long.parseLong(position), inclusive);
        }
        return EventPosition.fromOffsetString(position); // always exclusive
    }

    static void show(String partition, EventData event, LastEnqueuedEventProperties newest) {
        AmqpAnnotatedMessage message = event.getRawAmqpMessage();
        JsonObject system = new JsonObject();
        for (Map.Entry<String, Object> entry : event.getSystemProperties().entrySet()) {
            if (entry.getKey().startsWith("iothub-")) {
                system.addProperty(entry.getKey(), value(entry.getValue()));
            }
        }
        if (newest != null) {
            system.addProperty("last_sequence_number", String.valueOf(newest.getSequenceNumber()));
            system.addProperty("last_offset", newest.getOffsetString());
            system.addProperty("last_enqueued_time", value(newest.getEnqueuedTime()));
            system.addProperty("last_retrieval_time", value(newest.getRetrievalTime()));
        }
        JsonObject shown = new JsonObject();
        shown.addProperty("partition", partition);
        shown.addProperty("sequence", event.getSequenceNumber());
        shown.addProperty("offset", event.getOffsetString());
        shown.addProperty("enqueued", event.getEnqueuedTime().toEpochMilli());
        if (system.has("iothub-connection-device-id")) {
            shown.add("device", system.get("iothub-connection-device-id"));
        }
        shown.addProperty("body", event.getBodyAsString());
        shown.addProperty("messageId", event.getMessageId());
        shown.addProperty("correlationId", event.getCorrelationId());
        shown.addProperty("contentType", event.getContentType());
        shown.addProperty("contentEncoding", message.getProperties().getContentEncoding());
        JsonObject properties = new JsonObject();
        event.getProperties().forEach((name, value) -> properties.addProperty(name, value(value)));
        shown.add("properties", properties);
        shown.add("system", system);
        say("event " + Lib.GSON.toJson(shown));
    }

    private static String value(Object value) {
        if (value instanceof Date date) {
            return String.valueOf(date.getTime());
        }
        if (value instanceof Instant instant) {
            return String.valueOf(instant.toEpochMilli());
        }
        return String.valueOf(value);
    }

    /** What an error is best told by: the condition that came with it, else its class. */
    static String named(Throwable error) {
        for (Throwable e = error; e != null; e = e.getCause()) {
            if (e instanceof AmqpException amqp && amqp.getErrorCondition() != null) {
                return amqp.getErrorCondition().getErrorCondition();
            }
        }
        return error.getClass().getSimpleName();
    }

    static void showError(Throwable error) {
        say("error " + named(error) + " " + Lib.oneLine(error.getMessage()));
    }

    /**
     * Prints "ready" once the receivers of all partitions are attached. The SDK has no call for that, so this looks at
     * what it logs. It logs an attach answer that only announces a refusal, too.
     */
    static final class Opening {
        private static final Pattern ATTACHED =
            Pattern.compile("onLinkRemoteOpen.*entityPath\":\"[^\"]*/Partitions/(\\d+)\"", Pattern.CASE_INSENSITIVE);

        private final Set<String> closed;

        Opening(Iterable<String> partitions) {
            closed = new TreeSet<>();
            partitions.forEach(closed::add);
        }

        synchronized void opened(String line) {
            Matcher m = ATTACHED.matcher(line);
            if (!line.contains("waitingForError") && m.find() && closed.remove(m.group(1)) && closed.isEmpty()) {
                say("ready");
            }
        }

        /** Sends a copy of what goes to System.err, line by line, here. The log does. */
        void watch() {
            PrintStream err = System.err;
            System.setErr(new PrintStream(new OutputStream() {
                private final java.io.ByteArrayOutputStream line = new java.io.ByteArrayOutputStream();

                @Override
                public synchronized void write(int b) {
                    err.write(b);
                    if (b != '\n') {
                        line.write(b);
                        return;
                    }
                    opened(line.toString(StandardCharsets.UTF_8));
                    line.reset();
                }
            }, true, StandardCharsets.UTF_8));
        }
    }
}
