package journeys;

import static journeys.Lib.env;
import static journeys.Lib.need;
import static journeys.Lib.say;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.ToNumberPolicy;
import com.google.gson.reflect.TypeToken;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodPayload;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.Twin;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * A device, driven as node/driven_device.js is. One command is done after the other. The SDK calls the program for one direct
 * method after the other, too, so hold holds up what follows.
 *
 * <p>DEVICE_CONNECTION_STRING; RETRY=1: the SDK connects again by itself; TRANSPORT; CLOSED=1
 */
final class DrivenDevice {
    private static final Gson GSON =
        new GsonBuilder().serializeNulls().disableHtmlEscaping().setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).create();

    private final DeviceClient client;
    private final BlockingQueue<DirectMethodResponse> answers = new LinkedBlockingQueue<>();

    private DrivenDevice(DeviceClient client) {
        this.client = client;
    }

    private static JsonObject shown(TwinCollection section) {
        JsonObject shown = section.toJsonElement().getAsJsonObject();
        shown.addProperty("$version", section.getVersion());
        return shown;
    }

    private JsonElement twin() throws Exception {
        Twin twin = Devices.tried(() -> client.getTwin(Devices.PATIENCE));
        JsonObject shown = new JsonObject();
        shown.add("desired", shown(twin.getDesiredProperties()));
        shown.add("reported", shown(twin.getReportedProperties()));
        return shown;
    }

    private void report(JsonObject patch) throws Exception {
        Map<String, Object> members = GSON.fromJson(patch, new TypeToken<Map<String, Object>>() {}.getType());
        Devices.tried(() -> client.updateReportedProperties(new TwinCollection(members), Devices.PATIENCE));
    }

    private DirectMethodResponse called(String method, DirectMethodPayload payload, Object context) {
        JsonElement given = payload.getPayloadAsJsonElement();
        JsonObject shown = new JsonObject();
        shown.addProperty("method", method);
        shown.add("payload", given);
        say("call " + GSON.toJson(shown));
        try {
            if (method.equals("hold")) {
                return answers.take();
            }
        } catch (InterruptedException closed) {
            Thread.currentThread().interrupt();
        }
        return new DirectMethodResponse(207, given);
    }

    private JsonElement done(JsonObject command) throws Exception {
        switch (command.get("do").getAsString()) {
            case "open" -> client.open(false);
            case "twin" -> {
                return twin();
            }
            case "watch" -> Devices.tried(() -> {
                client.subscribeToDesiredProperties((twin, context) -> say("desired " + GSON.toJson(shown(twin.getDesiredProperties()))), null, Devices.PATIENCE);
                return null;
            });
            case "report" -> report(command.getAsJsonObject("patch"));
            case "handle" -> Devices.tried(() -> {
                client.subscribeToMethods(this::called, null, Devices.PATIENCE);
                return null;
            });
            case "answer" -> answers.put(new DirectMethodResponse(command.get("status").getAsInt(), command.get("payload")));
            default -> throw new AssertionError("there is no command " + command);
        }
        return JsonNull.INSTANCE;
    }

    private void obey(JsonObject command) {
        String number = command.get("n").getAsString();
        JsonObject failure = new JsonObject();
        try {
            say("done " + number + " " + GSON.toJson(done(command)));
            return;
        } catch (IotHubClientException refused) {
            failure.addProperty("name", refused.getStatusCode().name());
            failure.addProperty("message", refused.getMessage());
        } catch (Exception error) {
            failure.addProperty("name", error.getClass().getSimpleName());
            failure.addProperty("message", error.getMessage());
        }
        say("failed " + number + " " + GSON.toJson(failure));
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            boolean retry = env("RETRY").equals("1");
            DrivenDevice device = new DrivenDevice(Devices.client(need("DEVICE_CONNECTION_STRING"), retry));
            if (!env("CLOSED").equals("1")) {
                device.client.open(retry);
            }
            say("ready");
            Lib.eachCommand(device::obey);
            device.client.close();
        });
    }
}
