#!/usr/bin/env bash
# iot-device-client for Java sends messages that one thread queues one after the other in another order.
#
# Packages: com.microsoft.azure.sdk.iot:iot-device-client 2.5.0 (Maven), on Java 17. Peer: an MQTT server of thirty lines on
# mqtt-packet 9.0.2 (npm), Node.js 20, that acknowledges each PUBLISH at once and notes its payload. Port 8883 of loopback has
# to be free: the client dials no other.
#
# One thread of the device numbers its messages, of QoS 1, and hands them over
#
#   async  with sendEventAsync, 1,000 of them, with a pause of a millisecond after every ten. All are sent once and
#          acknowledged, but hundreds arrive in another place, up to hundreds away
#   sync   with sendEvent, 100 of them, one after the other: in order
#
# MQTT (3.1.1, 4.6) has a client's messages arrive in the order in which it sends them, and nothing in the description of
# sendEventAsync takes that from the program's order. Before each round of sending the client looks for messages that have
# expired: it takes all out of its queue and puts them back at the end (IotHubTransport.checkForExpiredMessages), behind what
# sendEventAsync has added in the meantime. Which messages are overtaken differs from run to run; without the pauses it is none
# in some runs. A device whose order counts calls sendEvent, or awaits the callbacks before it adds more.
#
# Seen: "async: 1000 arrived, 780 out of place, number 760 in place 50", "sync: 100 arrived, 0 out of place". Fails when
# async keeps the order three times in a row, or sync does not.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'END'
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.microsoft.azure.sdk.iot</groupId><artifactId>iot-device-client</artifactId><version>2.5.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
END
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies -DoutputDirectory=lib \
  &>mvn.log || { cat mvn.log >&2; exit 1; }
echo '{"private": true, "dependencies": {"mqtt-packet": "9.0.2"}}' >package.json
npm install --no-audit --no-fund --silent

openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=hub.localhost \
  -addext subjectAltName=DNS:hub.localhost 2>openssl.log
keytool -importcert -noprompt -alias hub -file cert.pem -keystore trust.p12 -storetype PKCS12 -storepass changeit 2>keytool.log
echo '127.0.0.1 localhost hub.localhost' >hosts # the client wants a dot in the name

cat >server.js <<'END'
const fs = require('fs');
const tls = require('tls');
const mqtt = require('mqtt-packet');
const arrived = [];
const server = tls.createServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, (socket) => {
  const parser = mqtt.parser();
  parser.on('packet', (packet) => {
    const answer = {
      connect: { cmd: 'connack', returnCode: 0, sessionPresent: false },
      pingreq: { cmd: 'pingresp' },
      publish: { cmd: 'puback', messageId: packet.messageId },
      subscribe: { cmd: 'suback', messageId: packet.messageId, granted: (packet.subscriptions || []).map(() => 1) },
    }[packet.cmd];
    if (packet.cmd === 'publish') arrived.push(Number(packet.payload));
    if (answer) socket.write(mqtt.generate(answer));
    if (packet.cmd === 'disconnect') end();
  });
  socket.on('data', (data) => parser.parse(data));
  socket.on('error', () => {});
});
function end() {
  let far = 0;
  arrived.forEach((number, at) => { if (Math.abs(number - at) > Math.abs(arrived[far] - far)) far = at; });
  const moved = arrived.filter((number, at) => number !== at).length;
  console.log(`${new Set(arrived).size} ${arrived.length} ${moved} ${arrived[far]} ${far}`);
  process.exit(0);
}
server.listen(8883, '127.0.0.1', () => fs.writeFileSync('ready', 'yes'));
END

cat >Send.java <<'END'
import com.microsoft.azure.sdk.iot.device.*;
import java.util.concurrent.CountDownLatch;

class Send {
    public static void main(String[] args) throws Exception {
        DeviceClient device = new DeviceClient("HostName=hub.localhost;DeviceId=d1;SharedAccessKey=AAAA", IotHubClientProtocol.MQTT);
        device.open(false);
        int count = Integer.parseInt(args[1]);
        CountDownLatch left = new CountDownLatch(count);
        for (int n = 0; n < count; n++) {
            Message message = new Message(String.valueOf(n));
            if (args[0].equals("sync")) {
                device.sendEvent(message);
                left.countDown();
            } else {
                device.sendEventAsync(message, (sent, error, context) -> left.countDown(), null);
                if (n % 10 == 9) {
                    Thread.sleep(1); // so that messages are added for as long as the client sends
                }
            }
        }
        left.await();
        device.close();
    }
}
END

# arrives HOW COUNT prints how many numbers and messages the server has, how many messages are out of place, which is the
# farthest, and where that is.
arrives() {
  rm -f ready
  timeout 120 node server.js >arrived 2>server.log &
  local server=$!
  for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
  [ -s ready ] || { cat server.log >&2; exit 1; }
  timeout 120 java -cp 'lib/*' -Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit \
    -Djdk.net.hosts.file=hosts Send.java "$@" >&2
  wait "$server"
  cat arrived
}

for _ in 1 2 3; do
  read -r numbers messages moved far at <<<"$(arrives async 1000)"
  echo "async: $messages arrived, $moved out of place, number $far in place $at"
  [ "$moved" = 0 ] || break
done
[ "$numbers $messages" = "1000 1000" ]
[ "$moved" -gt 0 ]
read -r numbers messages moved far at <<<"$(arrives sync 100)"
echo "sync: $messages arrived, $moved out of place"
[ "$numbers $messages $moved" = "100 100 0" ]
