package journeys;

import static journeys.Lib.need;
import static journeys.Lib.say;

import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import java.util.Map;

/**
 * Back ends that may not send, one for each case; prints "refused CASE CLASS".
 *
 * <p>CASES: a JSON object from case to connection string; DEVICE; TRANSPORT=amqp or amqp-ws
 */
final class C2dRefused {
    private C2dRefused() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            IotHubServiceClientProtocol protocol =
                Lib.env("TRANSPORT").equals("amqp-ws") ? IotHubServiceClientProtocol.AMQPS_WS : IotHubServiceClientProtocol.AMQPS;
            for (Map.Entry<String, String> each : Lib.strings("CASES").entrySet()) {
                MessagingClient client = new MessagingClient(each.getValue(), protocol);
                Throwable error = Lib.refusal(() -> {
                    client.open();
                    client.send(need("DEVICE"), new Message("for nobody"));
                }, each.getKey());
                say("refused " + each.getKey() + " " + error.getClass().getSimpleName());
            }
        });
    }
}
