package journeys;

import static journeys.Lib.need;
import static journeys.Lib.say;

import com.google.gson.JsonObject;
import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Enumeration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.qpid.jms.JmsConnectionFactory;
import org.apache.qpid.jms.JmsQueue;

/**
 * Qpid JMS, which knows AMQP and nothing of the hub: it logs in with SASL PLAIN.
 *
 * <p>read: the events of all partitions of the consumer group CONSUMER_GROUP behind those at POSITIONS, a JSON object from
 * partition to a selector; prints "event {...}" for each with body, messageId, correlationId and properties, until told to
 * stop. HOST, USER, PASSWORD, EVENT_HUB
 *
 * <p>send: COUNT numbered messages as the device DEVICE, and "message {...}" for those it is sent. HOST, USER, PASSWORD
 *
 * <p>refused: a connection that must be refused; prints "refused CLASS". HOST, USER, PASSWORD
 */
final class JmsEvents {
    private JmsEvents() {}

    private static Connection connect() throws Exception {
        // JMS knows no selectors with hyphens in a name, and hides properties whose names are no identifiers of Java.
        String uri = "amqps://" + need("HOST") + ":5671?jms.validateSelector=false&jms.validatePropertyNames=false";
        Connection connection = new JmsConnectionFactory(need("USER"), need("PASSWORD"), uri).createConnection();
        connection.start();
        return connection;
    }

    private static void read() throws Exception {
        CountDownLatch stop = Lib.toldToStop();
        Connection connection = connect();
        for (Map.Entry<String, String> each : Lib.strings("POSITIONS").entrySet()) {
            // A session has one thread.
            Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            JmsQueue from = new JmsQueue(need("EVENT_HUB") + "/ConsumerGroups/" + Events.group() + "/Partitions/" + each.getKey());
            MessageConsumer consumer = session.createConsumer(from, each.getValue().isEmpty() ? null : each.getValue());
            consumer.setMessageListener(message -> show("event", each.getKey(), message));
        }
        stop.await();
        connection.close();
    }

    private static void show(String verb, String partition, Message message) {
        try {
            JsonObject shown = new JsonObject();
            JsonObject properties = new JsonObject();
            for (Object name : Collections.list((Enumeration<?>) message.getPropertyNames())) {
                if (!name.toString().startsWith("JMS")) {
                    properties.addProperty(name.toString(), message.getStringProperty(name.toString()));
                }
            }
            shown.addProperty("partition", partition);
            shown.addProperty("body", body(message));
            shown.addProperty("messageId", message.getJMSMessageID());
            shown.addProperty("correlationId", message.getJMSCorrelationID());
            shown.add("properties", properties);
            say(verb + " " + Lib.GSON.toJson(shown));
            message.acknowledge();
        } catch (Exception error) {
            Lib.fail(error);
        }
    }

    private static String body(Message message) throws Exception {
        if (message instanceof TextMessage text) {
            return text.getText();
        }
        BytesMessage bytes = (BytesMessage) message;
        byte[] body = new byte[(int) bytes.getBodyLength()];
        bytes.readBytes(body);
        return new String(body, StandardCharsets.UTF_8);
    }

    private static void send() throws Exception {
        CountDownLatch stop = Lib.toldToStop();
        Connection connection = connect();
        Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        var producer = session.createProducer(new JmsQueue("/devices/" + need("DEVICE") + "/messages/events"));
        for (int n = 0; n < Integer.parseInt(need("COUNT")); n++) {
            TextMessage message = session.createTextMessage("reading " + n + " of 10 °C");
            message.setJMSCorrelationID("correlation " + n + "/ä");
            message.setStringProperty("number", String.valueOf(n));
            message.setIntProperty("whole", n);
            message.setBooleanProperty("odd", n % 2 == 1);
            producer.send(message);
            say("sent " + message.getJMSMessageID());
        }
        Session receiving = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        receiving.createConsumer(new JmsQueue("/devices/" + need("DEVICE") + "/messages/devicebound"))
            .setMessageListener(message -> show("message", "", message));
        say("ready");
        stop.await();
        connection.close();
    }

    public static void main(String[] args) {
        Lib.journey(() -> {
            switch (args[0]) {
                case "read" -> read();
                case "send" -> send();
                default -> say("refused " + Lib.refusal(JmsEvents::connect, "the log-in").getClass().getSimpleName());
            }
        });
    }
}
