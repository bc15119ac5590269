#!/usr/bin/env bash
# iot-service-client for Java asks for full feedback on messages that ask for none, and names two kinds in words of its own.
#
# Packages: com.microsoft.azure.sdk.iot:iot-service-client 2.1.9 (Maven), on Java 17. Peer: an AMQP server of thirty lines on
# rhea 3.0.4 (npm), Node.js 20, that answers $cbs with 200 and notes the application property iothub-ack of each message that
# arrives. Port 5671 of loopback has to be free: the client dials no other.
#
# The program sends cloud-to-device messages with MessagingClient.send: one as it is made, and one with each value of
# DeliveryAcknowledgement. IoT Hub's documentation knows none, positive, negative and full for iothub-ack, and none is the
# default (Microsoft.Azure.Devices.Message.Ack; "Send cloud-to-device messages from an IoT hub", Message feedback). On the wire:
#
#   as made       full          which has feedback queued for each message, read or not
#   None          none
#   PositiveOnly  positiveonly  for positive
#   NegativeOnly  negativeonly  for negative
#   Full          full
#
# The constructor of Message sets Full, and the property is the constant's name in lower case (messaging/Message.java). A
# back end that wants no feedback calls setDeliveryAcknowledgement(None), and a hub had better know the two other words.
#
# Seen: the table above. Fails when one of the values is another.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'END'
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.microsoft.azure.sdk.iot</groupId><artifactId>iot-service-client</artifactId><version>2.1.9</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
END
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies -DoutputDirectory=lib \
  &>mvn.log || { cat mvn.log >&2; exit 1; }
echo '{"private": true, "dependencies": {"rhea": "3.0.4"}}' >package.json
npm install --no-audit --no-fund --silent

openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=hub.localhost \
  -addext subjectAltName=DNS:hub.localhost 2>openssl.log
keytool -importcert -noprompt -alias hub -file cert.pem -keystore trust.p12 -storetype PKCS12 -storepass changeit 2>keytool.log
echo '127.0.0.1 localhost hub.localhost' >hosts # the client wants a dot in the name

cat >server.js <<'END'
const fs = require('fs');
const rhea = require('rhea');
const container = rhea.create_container();
container.sasl_server_mechanisms.enable_anonymous();
container.on('receiver_open', ({ receiver }) => receiver.set_target({ address: receiver.target.address }));
container.on('sender_open', ({ sender, connection }) => {
  sender.set_source({ address: sender.source.address });
  if (sender.source.address === '$cbs') connection.cbs = sender;
});
container.on('message', ({ message, receiver, connection }) => {
  if (receiver.target.address === '$cbs') {
    connection.cbs.send({
      correlation_id: message.message_id,
      application_properties: { 'status-code': rhea.types.wrap_int(200), 'status-description': 'OK' },
      body: '',
    });
    return;
  }
  console.log(`${message.message_id} ${message.application_properties['iothub-ack']}`);
});
const server = container.listen({ port: 5671, host: '127.0.0.1', transport: 'tls', key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') });
server.on('listening', () => fs.writeFileSync('ready', 'yes'));
END

cat >Send.java <<'END'
import com.microsoft.azure.sdk.iot.service.messaging.*;

class Send {
    public static void main(String[] args) throws Exception {
        MessagingClient client = new MessagingClient(
            "HostName=hub.localhost;SharedAccessKeyName=service;SharedAccessKey=AAAA", IotHubServiceClientProtocol.AMQPS);
        client.open();
        Message plain = new Message("x");
        plain.setMessageId("as-made");
        client.send("d1", plain);
        for (DeliveryAcknowledgement ack : DeliveryAcknowledgement.values()) {
            Message message = new Message("x");
            message.setMessageId(ack.name());
            message.setDeliveryAcknowledgement(ack);
            client.send("d1", message);
        }
        client.close();
        System.exit(0);
    }
}
END

timeout 240 node server.js >arrived 2>server.log &
server=$!
for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
[ -s ready ] || { cat server.log >&2; exit 1; }
timeout 120 java -cp 'lib/*' -Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit \
  -Djdk.net.hosts.file=hosts Send.java
kill "$server"
wait "$server" 2>/dev/null || true
cat arrived
diff arrived - <<'END'
as-made full
None none
NegativeOnly negativeonly
PositiveOnly positiveonly
Full full
END
