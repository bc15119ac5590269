package journeys;

import static journeys.Lib.check;
import static journeys.Lib.need;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import java.util.concurrent.CountDownLatch;

/** Two connections with the same id: the second one works, the first one ends. DEVICE_CONNECTION_STRING, TRANSPORT */
final class Takeover {
    private Takeover() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            DeviceClient first = Devices.open(need("DEVICE_CONNECTION_STRING"), false);
            first.sendEvent(new Message("from the first"));
            CountDownLatch ended = new CountDownLatch(1);
            first.setConnectionStatusChangeCallback(change -> {
                if (change.getNewStatus() != IotHubConnectionStatus.CONNECTED) {
                    ended.countDown();
                }
            }, null);
            DeviceClient second = Devices.open(need("DEVICE_CONNECTION_STRING"), false);
            Lib.waitFor(ended, "the first connection");
            second.sendEvent(new Message("from the second"));
            check(true, "the second connection sends");
            second.close();
        });
    }
}
