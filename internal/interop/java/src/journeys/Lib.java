package journeys;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.reflect.TypeToken;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What every journey shares: its inputs, its checks, its deadline and its exit status.
 *
 * <p>Inputs are environment variables, so that no key stands on a command line. A journey ends with status 0 and the line
 * PASSED only when it did what it is for; anything else is status 1 with the reason on stderr. All of the SDKs trust the
 * hub's authority through the JVM's property javax.net.ssl.trustStore, and find the hub's name through jdk.net.hosts.file.
 */
final class Lib {
    static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    private Lib() {}

    /** A journey, or a call in it: it fails by throwing. */
    interface Step {
        void run() throws Exception;
    }

    static String env(String name) {
        String value = System.getenv(name);
        return value == null ? "" : value;
    }

    static String need(String name) {
        String value = env(name);
        if (value.isEmpty()) {
            throw new AssertionError("the environment variable " + name + " is required");
        }
        return value;
    }

    static double seconds() {
        return Double.parseDouble(env("JOURNEY_SECONDS").isEmpty() ? "60" : env("JOURNEY_SECONDS"));
    }

    /** Takes a connection string apart. */
    static Map<String, String> fields(String connectionString) {
        Map<String, String> found = new LinkedHashMap<>();
        for (String part : connectionString.split(";")) {
            String[] pair = part.split("=", 2);
            found.put(pair[0], pair[1]);
        }
        return found;
    }

    /** Puts a connection string together again. */
    static String joined(Map<String, String> fields) {
        StringBuilder text = new StringBuilder();
        fields.forEach((name, value) -> text.append(text.length() == 0 ? "" : ";").append(name).append('=').append(value));
        return text.toString();
    }

    /** The JSON object of strings in an environment variable. */
    static Map<String, String> strings(String name) {
        return GSON.fromJson(need(name), new TypeToken<LinkedHashMap<String, String>>() {}.getType());
    }

    /** Makes a SAS token that ends at expiry, in Unix seconds. */
    static String sign(String resource, String key, long expiry) throws Exception {
        String sr = java.net.URLEncoder.encode(resource, StandardCharsets.UTF_8);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(key), "HmacSHA256"));
        byte[] digest = mac.doFinal((sr + "\n" + expiry).getBytes(StandardCharsets.UTF_8));
        String sig = java.net.URLEncoder.encode(Base64.getEncoder().encodeToString(digest), StandardCharsets.UTF_8);
        return "SharedAccessSignature sr=" + sr + "&sig=" + sig + "&se=" + expiry;
    }

    static void check(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError("not so: " + what);
        }
        say("ok " + what);
    }

    static void say(String line) {
        synchronized (OUT) {
            OUT.println(line);
        }
    }

    /** Makes a call that must fail and returns its error; success is the failure here. */
    static Throwable refusal(Step call, String what) {
        try {
            call.run();
        } catch (Throwable error) { // whichever it is, the caller looks at it
            return error;
        }
        throw new AssertionError("not so: " + what + " is refused");
    }

    static String oneLine(Object text) {
        return String.valueOf(text).replaceAll("\\s+", " ");
    }

    /** Returns a latch that opens when the test writes a line or closes our standard input. */
    static CountDownLatch toldToStop() {
        CountDownLatch stop = new CountDownLatch(1);
        background(() -> {
            System.in.read();
            stop.countDown();
        });
        return stop;
    }

    /** Hands each line of standard input over as a JSON object, and returns at its end. */
    static void eachCommand(Consumer<JsonObject> take) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            take.accept(GSON.fromJson(line, JsonObject.class));
        }
    }

    static void waitFor(CountDownLatch latch, String what) throws InterruptedException {
        if (!latch.await((long) (seconds() * 1000), TimeUnit.MILLISECONDS)) {
            throw new AssertionError("no end: " + what);
        }
    }

    static Thread background(Step step) {
        Thread thread = new Thread(() -> {
            try {
                step.run();
            } catch (Throwable error) {
                fail(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    static void fail(Throwable error) {
        error.printStackTrace();
        leave(1);
    }

    /** Runs a journey, then leaves: 0 only when it returned in time. The SDKs' threads are not waited for. */
    static void journey(Step main) {
        background(() -> {
            Thread.sleep((long) (seconds() * 1000));
            throw new AssertionError("FAILED no end after " + seconds() + " s: the whole journey");
        });
        try {
            main.run();
            say("PASSED");
        } catch (Throwable error) {
            fail(error);
        }
        leave(0);
    }

    private static void leave(int status) {
        System.err.flush();
        Runtime.getRuntime().halt(status); // some of the SDKs' threads would hold up an orderly exit
    }
}
