package journeys;

import static journeys.Lib.need;
import static journeys.Lib.say;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Sends numbered messages, one after the other, until told to stop; prints "acked N" for each.
 *
 * <p>Reconnecting is left to the SDK. A message whose fate it leaves open is sent again, as an application would.
 *
 * <p>DEVICE_CONNECTION_STRING, RUN_ID, TRANSPORT
 */
final class KeepSending {
    private KeepSending() {}

    private static boolean send(DeviceClient device, int number) throws InterruptedException {
        String run = need("RUN_ID");
        Message message = new Message(String.format("{\"run\":\"%s\",\"number\":%d}", run, number));
        message.setMessageId(run + "-" + number);
        try {
            device.sendEvent(message);
        } catch (IotHubClientException | IllegalStateException error) {
            say("error " + Lib.oneLine(error));
            return false;
        }
        say("acked " + number);
        return true;
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            CountDownLatch stop = Lib.toldToStop();
            DeviceClient device = Devices.open(need("DEVICE_CONNECTION_STRING"), true);
            int number = 0;
            do {
                number += send(device, number) ? 1 : 0;
            } while (!stop.await(20, TimeUnit.MILLISECONDS));
            device.close();
        });
    }
}
