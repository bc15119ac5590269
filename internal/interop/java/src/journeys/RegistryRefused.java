package journeys;

import static journeys.Lib.fields;
import static journeys.Lib.joined;
import static journeys.Lib.need;
import static journeys.Lib.say;

import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import java.util.LinkedHashMap;
import java.util.Map;

/** Calls of the registry that must be refused, one for each case; prints "refused CASE CLASS". HUB_CONNECTION_STRING */
final class RegistryRefused {
    private RegistryRefused() {}

    public static void main(String[] args) {
        Lib.journey(() -> {
            Map<String, Map<String, String>> cases = new LinkedHashMap<>();
            cases.put("wrong-key", Map.of("SharedAccessKey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
            cases.put("unknown-policy", Map.of("SharedAccessKeyName", "nobody"));
            for (Map.Entry<String, Map<String, String>> each : cases.entrySet()) {
                Map<String, String> parts = fields(need("HUB_CONNECTION_STRING"));
                parts.putAll(each.getValue());
                RegistryClient client = new RegistryClient(joined(parts));
                Throwable error = Lib.refusal(() -> client.getDevice("whoever"), each.getKey());
                say("refused " + each.getKey() + " " + error.getClass().getSimpleName());
            }
        });
    }
}
