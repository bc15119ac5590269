package journeys;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.MessageProperty;
import com.microsoft.azure.sdk.iot.service.messaging.DeliveryAcknowledgement;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.HashMap;
import java.util.Map;

/**
 * How a message to a device is made, and how it is shown. Both are JSON objects with the members that node/c2d.js tells.
 */
final class C2d {
    private C2d() {}

    private static String text(JsonObject of, String name) {
        JsonElement value = of.get(name);
        return value == null ? null : value.getAsString();
    }

    /** Makes the service SDK's message of such an object. It has no way to give a content type or encoding. */
    static Message message(JsonObject given) {
        Message message = new Message(text(given, "body").getBytes(StandardCharsets.UTF_8));
        message.setMessageId(text(given, "id"));
        message.setCorrelationId(text(given, "correlationId"));
        message.setUserId(text(given, "userId"));
        message.setDeliveryAcknowledgement(given.has("ack") ? acknowledgement(text(given, "ack")) : DeliveryAcknowledgement.None); // else Full
        if (given.has("expiry")) {
            message.setExpiryTimeUtc(new Date(given.get("expiry").getAsLong()));
        }
        Map<String, String> properties = new HashMap<>();
        if (given.has("properties")) {
            given.getAsJsonObject("properties").entrySet().forEach(p -> properties.put(p.getKey(), p.getValue().getAsString()));
        }
        message.setProperties(properties);
        return message;
    }

    private static DeliveryAcknowledgement acknowledgement(String name) {
        return switch (name) {
            case "positive" -> DeliveryAcknowledgement.PositiveOnly;
            case "negative" -> DeliveryAcknowledgement.NegativeOnly;
            case "none" -> DeliveryAcknowledgement.None;
            case "full" -> DeliveryAcknowledgement.Full;
            default -> throw new IllegalArgumentException("the SDK has no acknowledgement " + name);
        };
    }

    /** Undoes what the SDK makes of a header: it takes the bytes for Latin-1. */
    private static String bytes(String text) {
        boolean header = Devices.protocol() == IotHubClientProtocol.HTTPS;
        return header && text != null ? new String(text.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8) : text;
    }

    /**
     * Makes such an object of the device SDK's message. It shows neither the expiry nor the acknowledgement asked for, and
     * makes up a correlation id where there is none.
     */
    static JsonObject shown(com.microsoft.azure.sdk.iot.device.Message message) {
        JsonObject shown = new JsonObject();
        JsonObject properties = new JsonObject();
        for (MessageProperty property : message.getProperties()) {
            switch (property.getName()) { // where the SDK puts these over AMQP and HTTPS
                case "iothub-app-to", "iothub-app-iothub-to" -> add(shown, "to", property.getValue());
                case "iothub-app-userId", "iothub-app-iothub-userid" -> add(shown, "userId", property.getValue());
                default -> properties.addProperty(property.getName(), bytes(property.getValue()));
            }
        }
        add(shown, "id", message.getMessageId());
        add(shown, "correlationId", message.getCorrelationId());
        add(shown, "contentType", message.getContentType());
        add(shown, "contentEncoding", message.getContentEncoding());
        shown.add("properties", properties);
        shown.addProperty("body", new String(message.getBytes(), StandardCharsets.UTF_8));
        return shown;
    }

    private static void add(JsonObject to, String name, String value) {
        if (value != null && !value.isEmpty()) {
            to.addProperty(name, bytes(value));
        }
    }
}
