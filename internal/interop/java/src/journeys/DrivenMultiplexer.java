package journeys;

import static journeys.Lib.need;
import static journeys.Lib.say;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.gson.reflect.TypeToken;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.MultiplexingClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.exceptions.MultiplexingClientRegistrationException;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/**
 * Many devices on one AMQP connection, driven as DrivenDevice is. Commands are done one after the other.
 *
 * <p>HOST; TRANSPORT: amqp or amqp-ws
 */
final class DrivenMultiplexer {
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    private final MultiplexingClient connection = new MultiplexingClient(need("HOST"), Devices.protocol());
    private final Map<String, DeviceClient> devices = new LinkedHashMap<>();

    /** Registers devices, given by their connection strings, and returns the errors of those that are refused. */
    private JsonElement register(List<String> connectionStrings) throws Exception {
        Map<String, DeviceClient> more = new LinkedHashMap<>();
        for (String text : connectionStrings) {
            String id = Lib.fields(text).get("DeviceId");
            DeviceClient client = new DeviceClient(text, Devices.protocol(), Devices.options().build());
            client.setConnectionStatusChangeCallback(change -> say("status " + id + " " + change.getNewStatus() + " " + change.getNewStatusReason()), null);
            more.put(id, client);
        }
        JsonObject refused = new JsonObject();
        try {
            connection.registerDeviceClients(more.values());
        } catch (MultiplexingClientRegistrationException some) {
            some.getRegistrationExceptions().forEach((id, why) -> {
                more.remove(id);
                refused.addProperty(id, why.getClass().getSimpleName());
            });
        }
        devices.putAll(more);
        return refused;
    }

    private void unregister(List<String> ids) throws Exception {
        List<DeviceClient> leaving = new ArrayList<>();
        ids.forEach(id -> leaving.add(devices.remove(id)));
        connection.unregisterDeviceClients(leaving);
    }

    /** Sends one message of each device, all at once, and returns the statuses of those that fail. */
    private JsonElement send(List<String> ids, String body) throws Exception {
        CountDownLatch left = new CountDownLatch(ids.size());
        JsonObject failed = new JsonObject();
        for (String id : ids) {
            Message message = new Message(body);
            message.setMessageId(id + "-" + body);
            devices.get(id).sendEventAsync(message, (sent, error, context) -> {
                synchronized (failed) {
                    if (error != null) {
                        failed.addProperty(id, error.getStatusCode().name());
                    }
                }
                left.countDown();
            }, null);
        }
        Lib.waitFor(left, "acknowledgements of " + body);
        return failed;
    }

    private JsonElement done(JsonObject command) throws Exception {
        String id = command.has("device") ? command.get("device").getAsString() : "";
        List<String> many = GSON.fromJson(command.get("many"), new TypeToken<List<String>>() {}.getType());
        switch (command.get("do").getAsString()) {
            case "register" -> {
                return register(many);
            }
            case "unregister" -> unregister(many);
            case "open" -> connection.open(true);
            case "count" -> {
                return new JsonPrimitive(connection.getRegisteredDeviceCount());
            }
            case "send" -> {
                return send(many, command.get("body").getAsString());
            }
            case "twin" -> {
                return Devices.tried(() -> devices.get(id).getTwin(Devices.PATIENCE)).getReportedProperties().toJsonElement();
            }
            case "report" -> {
                Map<String, Object> patch = GSON.fromJson(command.get("patch"), new TypeToken<Map<String, Object>>() {}.getType());
                Devices.tried(() -> devices.get(id).updateReportedProperties(new TwinCollection(patch), Devices.PATIENCE));
            }
            case "watch" -> Devices.tried(() -> {
                devices.get(id).subscribeToDesiredProperties(
                    (twin, context) -> say("desired " + twin.getDesiredProperties().toJsonElement()), null, Devices.PATIENCE);
                return null;
            });
            case "handle" -> Devices.tried(() -> {
                devices.get(id).subscribeToMethods((method, payload, context) -> new DirectMethodResponse(207, id), null, Devices.PATIENCE);
                return null;
            });
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
            DrivenMultiplexer driven = new DrivenMultiplexer();
            say("ready");
            Lib.eachCommand(driven::obey);
            driven.connection.close();
        });
    }
}
