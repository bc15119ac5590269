#!/usr/bin/env bash
# azure-messaging-eventhubs for Java ends receiveFromPartition as if it had succeeded when the connection ends.
#
# Packages: com.azure:azure-messaging-eventhubs 5.21.5 (Maven), on Java 17. Peer: a server of forty lines on rhea 3.0.4 (npm),
# Node.js 20, that answers $cbs with 202 and sends three events to each link that receives; it listens on port 5672 of
# loopback, which has to be free, and stays there to the end.
#
# The program subscribes to EventHubConsumerAsyncClient.receiveFromPartition. After three events the server ends the
# connection once, then takes connections and links as before:
#
#   close  the server sends close with amqp:connection:forced, after which AMQP 1.0 (part 2, 2.8.16) lets a client try again
#   cut    the server destroys the TCP socket
#
# In both cases the Flux of events, which has no end of its own, ends with onComplete: no onError, and no new link although
# the default options leave three retries. The makers' guide (TROUBLESHOOTING.md of the package) says of
# amqp:connection:forced that the clients establish the connection again. The client can: a second subscription gets events.
# A program that listens for errors (retry, onErrorResume) reads no further and is not told why; it has to take onComplete for
# a lost connection, and subscribe again after the last event that it has seen.
#
# Seen: "close: 3 events, then onComplete; subscribed again: 3 events" and the same for cut. Fails when an ending differs.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >pom.xml <<'END'
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.azure</groupId><artifactId>azure-messaging-eventhubs</artifactId><version>5.21.5</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
END
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies -DoutputDirectory=lib \
  &>mvn.log || { cat mvn.log >&2; exit 1; }
echo '{"private": true, "dependencies": {"rhea": "3.0.4"}}' >package.json
npm install --no-audit --no-fund --silent

cat >server.js <<'END'
const fs = require('fs');
const rhea = require('rhea');
const container = rhea.create_container();
container.sasl_server_mechanisms.enable_anonymous();
container.sasl_server_mechanisms.MSSBCBS = container.sasl_server_mechanisms.ANONYMOUS;
const how = process.argv[2];
let ended = false;
container.on('receiver_open', ({ receiver }) => receiver.set_target({ address: receiver.target.address }));
container.on('sender_open', ({ sender, connection }) => {
  sender.set_source({ address: sender.source.address });
  if (sender.source.address === '$cbs') connection.cbs = sender;
});
container.on('message', ({ message, connection }) => {
  connection.cbs.send({
    correlation_id: message.message_id,
    application_properties: { 'status-code': rhea.types.wrap_int(202), 'status-description': 'Accepted' },
    body: '',
  });
});
container.on('sendable', ({ sender, connection }) => {
  if (sender.source.address === '$cbs' || sender.sent) return;
  sender.sent = true;
  for (let n = 1; n <= 3; n++) {
    sender.send({
      message_annotations: {
        'x-opt-sequence-number': rhea.types.wrap_long(n),
        'x-opt-offset': String(n),
        'x-opt-enqueued-time': rhea.types.wrap_timestamp(Date.now()),
      },
      body: rhea.message.data_section(Buffer.from(String(n))),
    });
  }
  if (ended) return;
  ended = true;
  setTimeout(() => {
    if (how === 'cut') connection.socket.destroy();
    else connection.close({ condition: 'amqp:connection:forced', description: 'the server restarts' });
  }, 3000);
});
container.listen({ port: 5672, host: '127.0.0.1' }).on('listening', () => fs.writeFileSync('ready', 'yes'));
END

cat >Receive.java <<'END'
import com.azure.messaging.eventhubs.*;
import com.azure.messaging.eventhubs.models.EventPosition;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;

class Receive {
    public static void main(String[] args) throws Exception {
        EventHubConsumerAsyncClient client = new EventHubClientBuilder().consumerGroup("$Default").connectionString(
            "Endpoint=sb://localhost;SharedAccessKeyName=p;SharedAccessKey=AAAA;EntityPath=hub;UseDevelopmentEmulator=true")
            .buildAsyncConsumerClient();
        AtomicInteger events = new AtomicInteger();
        CompletableFuture<String> end = new CompletableFuture<>();
        client.receiveFromPartition("0", EventPosition.earliest()).subscribe(
            event -> events.incrementAndGet(), error -> end.complete("onError " + error), () -> end.complete("onComplete"));
        String ending = end.completeOnTimeout("nothing in 90 s", 90, TimeUnit.SECONDS).get();
        int first = events.get();
        CountDownLatch again = new CountDownLatch(3);
        client.receiveFromPartition("0", EventPosition.earliest()).subscribe(event -> again.countDown(), error -> {});
        again.await(60, TimeUnit.SECONDS);
        System.out.printf("%d events, then %s; subscribed again: %d events%n", first, ending, 3 - again.getCount());
        System.exit(0);
    }
}
END

# tells HOW prints what the subscriber is told.
tells() {
  rm -f ready
  timeout 240 node server.js "$1" &>server.log &
  local server=$!
  for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
  [ -s ready ] || { cat server.log >&2; exit 1; }
  timeout 240 java -cp 'lib/*' Receive.java 2>client.log
  kill "$server"
  wait "$server" || true
}

for how in close cut; do
  told=$(tells "$how")
  echo "$how: $told"
  [ "$told" = "3 events, then onComplete; subscribed again: 3 events" ]
done
