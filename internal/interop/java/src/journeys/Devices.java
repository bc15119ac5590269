package journeys;

import static journeys.Lib.env;

import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.ExponentialBackoffWithJitter;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import java.util.concurrent.Callable;

/** What the programs on the device SDK share. TRANSPORT names the protocol: mqtt (the default), mqtt-ws, amqp, amqp-ws, http. */
final class Devices {
    /** How long an answer may take, in ms: the SDK loses some. */
    static final int PATIENCE = 3_000;
    private static final int TRIES = 20;

    private Devices() {}

    static IotHubClientProtocol protocol() {
        return protocol(env("TRANSPORT"));
    }

    static IotHubClientProtocol protocol(String name) {
        return switch (name) {
            case "", "mqtt" -> IotHubClientProtocol.MQTT;
            case "mqtt-ws" -> IotHubClientProtocol.MQTT_WS;
            case "amqp" -> IotHubClientProtocol.AMQPS;
            case "amqp-ws" -> IotHubClientProtocol.AMQPS_WS;
            case "http" -> IotHubClientProtocol.HTTPS;
            default -> throw new AssertionError("TRANSPORT is " + name);
        };
    }

    /** Options with the SDK's defaults, but for polls over HTTPS: every 10 ms is too much for this machine. */
    static ClientOptions.ClientOptionsBuilder options() {
        return options(protocol());
    }

    static ClientOptions.ClientOptionsBuilder options(IotHubClientProtocol protocol) {
        ClientOptions.ClientOptionsBuilder options = ClientOptions.builder().messagesSentPerSendInterval(50);
        return protocol == IotHubClientProtocol.HTTPS ? options.receiveInterval(100) : options;
    }

    /** Makes a client. Unless it may retry, the first failure is raised instead of tried again. */
    static DeviceClient client(String connectionString, boolean retry) {
        DeviceClient client = new DeviceClient(connectionString, protocol(), options().build());
        if (retry) {
            client.setRetryPolicy(new ExponentialBackoffWithJitter(Integer.MAX_VALUE, 100, 1000, 100, false));
        } else {
            client.setRetryPolicy(new NoRetry());
        }
        return client;
    }

    /** Makes a client that has opened its connection. */
    static DeviceClient open(String connectionString, boolean retry) throws IotHubClientException {
        DeviceClient client = client(connectionString, retry);
        client.open(retry);
        return client;
    }

    /** Asks again when no answer comes. */
    static <T> T tried(Callable<T> call) throws Exception {
        for (int n = 1;; n++) {
            try {
                return call.call();
            } catch (IotHubClientException late) {
                if (late.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT || n == TRIES) {
                    throw late;
                }
            }
        }
    }
}
