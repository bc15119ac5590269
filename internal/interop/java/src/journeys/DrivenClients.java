package journeys;

import static journeys.Lib.say;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.SasTokenProvider;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.NoRetry;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** Devices and modules, each with a transport and a credential of its own, driven as node/driven_clients.js is. */
final class DrivenClients {
    /** One device or module. */
    private record Driven(InternalClient client, BlockingQueue<JsonObject> messages) {}

    private final Map<String, Driven> clients = new ConcurrentHashMap<>();

    private DrivenClients() {}

    private static String text(JsonObject of, String name) {
        return of.has(name) ? of.get(name).getAsString() : null;
    }

    /** Makes what holds a chain and its key, and trusts whom the JVM does. */
    private static SSLContext contextOf(String chain, String privateKey) throws Exception {
        Certificate[] certificates = CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(chain.getBytes(StandardCharsets.US_ASCII))).toArray(new Certificate[0]);
        byte[] der = Base64.getMimeDecoder().decode(privateKey.replaceAll("-----[A-Z ]+-----", ""));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("client", key, new char[0], certificates);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }

    private static InternalClient made(JsonObject command) throws Exception {
        IotHubClientProtocol protocol = Devices.protocol(text(command, "transport"));
        ClientOptions.ClientOptionsBuilder options = Devices.options(protocol);
        String host = text(command, "host");
        String device = text(command, "device");
        String module = text(command, "module");
        if (command.has("token")) {
            char[] token = text(command, "token").toCharArray();
            SasTokenProvider provider = () -> token;
            return module == null
                ? new DeviceClient(host, device, provider, protocol, options.build())
                : new ModuleClient(host, device, module, provider, protocol, options.build());
        }
        String place = "HostName=" + host + ";DeviceId=" + device + (module == null ? "" : ";ModuleId=" + module);
        if (command.has("certificate")) {
            place += ";x509=true";
            options.sslContext(contextOf(text(command, "certificate"), text(command, "privateKey")));
        } else {
            place += ";SharedAccessKey=" + text(command, "key");
        }
        return module == null ? new DeviceClient(place, protocol, options.build()) : new ModuleClient(place, protocol, options.build());
    }

    private void open(JsonObject command) throws Exception {
        InternalClient client = made(command);
        client.setRetryPolicy(new NoRetry());
        BlockingQueue<JsonObject> messages = new LinkedBlockingQueue<>();
        if (client instanceof DeviceClient device) {
            device.setMessageCallback((message, context) -> {
                messages.add(C2d.shown(message));
                return IotHubMessageResult.COMPLETE;
            }, null);
        }
        clients.put(text(command, "client"), new Driven(client, messages));
        client.open(false);
    }

    private static Message telemetry(JsonObject given) {
        Message message = new Message(text(given, "body"));
        message.setMessageId(text(given, "id"));
        message.setCorrelationId(text(given, "correlationId"));
        message.setContentType(text(given, "contentType"));
        message.setContentEncoding(text(given, "contentEncoding"));
        given.getAsJsonObject("properties").entrySet().forEach(p -> message.setProperty(p.getKey(), p.getValue().getAsString()));
        return message;
    }

    private JsonElement done(JsonObject command) throws Exception {
        Driven driven = clients.get(text(command, "client"));
        switch (text(command, "do")) {
            case "open" -> open(command);
            case "send" -> driven.client.sendEvent(telemetry(command.getAsJsonObject("message")));
            case "receive" -> {
                return driven.messages.take();
            }
            case "close" -> driven.client.close();
            default -> throw new AssertionError("there is no command " + command);
        }
        return JsonNull.INSTANCE;
    }

    private void obey(JsonObject command) {
        String number = text(command, "n");
        JsonObject failure = new JsonObject();
        try {
            say("done " + number + " " + Lib.GSON.toJson(done(command)));
            return;
        } catch (IotHubClientException refused) {
            failure.addProperty("name", refused.getStatusCode().name());
            failure.addProperty("message", refused.getMessage() + ": " + refused.getCause());
        } catch (Throwable error) {
            failure.addProperty("name", error.getClass().getSimpleName());
            failure.addProperty("message", error.getMessage());
        }
        say("failed " + number + " " + Lib.GSON.toJson(failure));
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            DrivenClients driven = new DrivenClients();
            ExecutorService threads = Executors.newCachedThreadPool();
            say("ready");
            Lib.eachCommand(command -> threads.execute(() -> driven.obey(command)));
        });
    }
}
