package journeys;

import static journeys.Lib.check;
import static journeys.Lib.need;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Sends COUNT messages and ends when all are acknowledged.
 *
 * <p>pipelined: a hundred at a time. The SDK shuffles what is added to its queue while it sends, so only the hundreds keep
 * their order; sync: one after the other; batch: a hundred in a request, over HTTPS alone.
 *
 * <p>DEVICE_CONNECTION_STRING, RUN_ID, COUNT, TRANSPORT
 */
final class Telemetry {
    private static final int TOGETHER = 100;

    private Telemetry() {}

    static Message reading(int number) {
        String run = need("RUN_ID");
        boolean header = Lib.env("TRANSPORT").equals("http"); // what the SDK lets into a header is ASCII
        Message message = new Message(String.format("{\"run\":\"%s\",\"number\":%d,\"windSpeed\":%d}", run, number, 5 + number % 16));
        message.setMessageId(run + "-" + number);
        message.setCorrelationId("correlation " + number + (header ? "/a" : "/ä"));
        message.setContentType("application/json");
        message.setContentEncoding("utf-8");
        message.setProperty("number", String.valueOf(number));
        if (header) {
            message.setProperty("awkward~name", "a/b & c=d + $");
        } else {
            message.setProperty("awkward name", "a/b & c=d + €");
        }
        return message;
    }

    private static void together(DeviceClient device, int first, int end) throws Exception {
        CountDownLatch left = new CountDownLatch(end - first);
        AtomicReference<Throwable> failed = new AtomicReference<>();
        for (int n = first; n < end; n++) {
            device.sendEventAsync(reading(n), (message, error, context) -> {
                if (error != null) {
                    failed.compareAndSet(null, error);
                }
                left.countDown();
            }, null);
        }
        Lib.waitFor(left, "the acknowledgements");
        if (failed.get() != null) {
            throw new AssertionError(failed.get());
        }
    }

    private static void batch(DeviceClient device, int first, int end) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (int n = first; n < end; n++) {
            messages.add(reading(n));
        }
        device.sendEvents(messages);
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            int count = Integer.parseInt(need("COUNT"));
            DeviceClient device = Devices.open(need("DEVICE_CONNECTION_STRING"), false);
            for (int first = 0; first < count; first += TOGETHER) {
                int end = Math.min(count, first + TOGETHER);
                switch (args[0]) {
                    case "pipelined" -> together(device, first, end);
                    case "batch" -> batch(device, first, end);
                    case "sync" -> {
                        for (int n = first; n < end; n++) {
                            device.sendEvent(reading(n));
                        }
                    }
                    default -> throw new AssertionError("there is no way " + args[0]);
                }
            }
            device.close();
            check(true, count + " messages are acknowledged");
        });
    }
}
