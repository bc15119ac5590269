package journeys;

import static journeys.Lib.env;
import static journeys.Lib.need;
import static journeys.Lib.say;

import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.Message;
import java.util.concurrent.CountDownLatch;

/**
 * A device that receives over TRANSPORT until it is told to stop. It does with each message what the property "outcome"
 * says: complete (when there is none), reject or abandon. Prints "ready" and "message {...}" for each delivery.
 *
 * <p>DEVICE_CONNECTION_STRING; RETRY=1: the SDK connects again by itself
 */
final class C2dDevice {
    private C2dDevice() {}

    private static IotHubMessageResult settle(Message message, Object context) {
        JsonObject shown = C2d.shown(message);
        say("message " + Lib.GSON.toJson(shown));
        String outcome = message.getProperty("outcome");
        return switch (outcome == null ? "" : outcome) {
            case "reject" -> IotHubMessageResult.REJECT;
            case "abandon" -> IotHubMessageResult.ABANDON;
            default -> IotHubMessageResult.COMPLETE;
        };
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            CountDownLatch stop = Lib.toldToStop();
            boolean retry = env("RETRY").equals("1");
            DeviceClient device = Devices.client(need("DEVICE_CONNECTION_STRING"), retry);
            device.setMessageCallback(C2dDevice::settle, null);
            device.setConnectionStatusChangeCallback(change -> say("status " + change.getNewStatus() + " " + change.getNewStatusReason()), null);
            device.open(retry);
            say("ready");
            stop.await();
            device.close();
        });
    }
}
