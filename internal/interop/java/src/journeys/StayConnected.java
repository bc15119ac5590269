package journeys;

import static journeys.Lib.say;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/**
 * Connects devices and waits until the hub has closed all of them; prints "connected NAME" and "disconnected NAME".
 *
 * <p>CASES: a JSON object from name to connection string; TRANSPORT
 */
final class StayConnected {
    private StayConnected() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            List<CountDownLatch> ends = new ArrayList<>();
            for (Map.Entry<String, String> each : Lib.strings("CASES").entrySet()) {
                DeviceClient client = Devices.open(each.getValue(), false);
                CountDownLatch ended = new CountDownLatch(1);
                client.setConnectionStatusChangeCallback(change -> {
                    synchronized (ended) {
                        if (change.getNewStatus() != IotHubConnectionStatus.CONNECTED && ended.getCount() > 0) {
                            say("disconnected " + each.getKey());
                            ended.countDown();
                        }
                    }
                }, null);
                say("connected " + each.getKey());
                ends.add(ended);
            }
            for (CountDownLatch end : ends) {
                Lib.waitFor(end, "all connections");
            }
        });
    }
}
