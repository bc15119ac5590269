package journeys;

import static journeys.Lib.fields;
import static journeys.Lib.say;
import static journeys.Lib.sign;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import java.util.Map;

/**
 * Log-ins that must be refused, one for each case; prints "refused CASE STATUS", with the SDK's status code.
 *
 * <p>CASES: a JSON object from case to connection string; the case expired-token signs with the key of its string. TRANSPORT
 */
final class DeviceRefused {
    private DeviceRefused() {}

    private static DeviceClient client(String name, String connectionString) throws Exception {
        if (!name.equals("expired-token")) {
            return Devices.client(connectionString, false);
        }
        Map<String, String> parts = fields(connectionString);
        String host = parts.get("HostName");
        String device = parts.get("DeviceId");
        long expiry = System.currentTimeMillis() / 1000 - 60;
        char[] token = sign(host + "/devices/" + device, parts.get("SharedAccessKey"), expiry).toCharArray();
        DeviceClient client = new DeviceClient(host, device, () -> token, Devices.protocol(), Devices.options().build());
        client.setRetryPolicy(new NoRetry());
        return client;
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            for (Map.Entry<String, String> each : Lib.strings("CASES").entrySet()) {
                DeviceClient client = client(each.getKey(), each.getValue());
                Throwable error = Lib.refusal(() -> {
                    client.open(false);
                    if (Devices.protocol() == IotHubClientProtocol.HTTPS) { // where open connects to nothing
                        client.sendEvent(new Message("refused"));
                    }
                }, each.getKey());
                if (!(error instanceof IotHubClientException refused)) {
                    throw new AssertionError(error);
                }
                say("refused " + each.getKey() + " " + refused.getStatusCode());
                client.close();
            }
        });
    }
}
