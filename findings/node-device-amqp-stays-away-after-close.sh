#!/usr/bin/env bash
# azure-iot-device-amqp for Node.js takes 45 seconds to come back from an AMQP close, and one from a broken socket.
#
# Packages: azure-iot-device 1.18.4 with azure-iot-device-amqp 1.14.4 (npm), on Node.js 20. Peer: a server of twenty lines on
# rhea 3.0.4 (npm) that answers $cbs with 200 and accepts every link and message.
#
# The device opens its client and sends a message a second. After the first one the server ends the connection once:
#
#   cut    the server destroys the TCP socket: the client is connected again at once
#   close  the server sends close with amqp:connection:forced, after which AMQP 1.0 (part 2, 2.8.16) lets a client try again
#          later. The client answers with its own close within milliseconds, but each sendEvent fails with "AMQP Transport:
#          Could not send" for 45 seconds, and only then does it dial again
#
# On the close the client begins to detach its links one after the other, and waits for an answer to its detach, which no
# server sends on a closed connection, until a timer of 45 seconds ends the wait (azure-iot-amqp-base 2.5.3, dist/amqp.js). A
# server that wants this client back soon after a restart had better cut its connections than close them.
#
# Seen: "cut: back after 1.0 s", "close: back after 45.9 s". Fails when the first takes 10 s or more, or the second less than 30.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

cat >package.json <<'END'
{"private": true, "dependencies": {"azure-iot-device": "1.18.4", "azure-iot-device-amqp": "1.14.4", "rhea": "3.0.4"}}
END
npm install --no-audit --no-fund --silent
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost 2>openssl.log

cat >server.js <<'END'
const fs = require('fs');
const container = require('rhea').create_container();
container.sasl_server_mechanisms.enable_anonymous();
const how = process.argv[2];
let ended, cbs;
container.on('connection_open', () => {
  if (!ended) return;
  console.log(((Date.now() - ended) / 1000).toFixed(1));
  process.exit(0);
});
container.on('sender_open', ({ sender }) => {
  sender.set_source({ address: sender.source.address });
  if (sender.source.address === '$cbs') cbs = sender;
});
container.on('message', ({ message, receiver, connection }) => {
  if (receiver.target.address === '$cbs') {
    cbs.send({ correlation_id: message.message_id, application_properties: { 'status-code': 200, 'status-description': 'OK' }, body: '' });
    return;
  }
  if (ended) return;
  ended = Date.now();
  setTimeout(() => {
    if (how === 'cut') connection.socket.destroy();
    else connection.close({ condition: 'amqp:connection:forced', description: 'the server restarts' });
  }, 200);
});
const server = container.listen({ port: 0, host: 'localhost', transport: 'tls', key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') });
server.on('listening', () => fs.writeFileSync('port', String(server.address().port)));
END

cat >client.js <<'END'
const { Client, Message } = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');
const key = Buffer.alloc(32).toString('base64');
const client = Client.fromConnectionString(`HostName=localhost:${process.argv[2]};DeviceId=d1;SharedAccessKey=${key}`, Amqp);
client.open().then(() => setInterval(() => client.sendEvent(new Message('x')).catch(() => {}), 1000));
END

# away HOW prints for how many seconds the client stays away after the server has ended the connection.
away() {
  rm -f port
  timeout 150 node server.js "$1" >away &
  local server=$!
  for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
  NODE_EXTRA_CA_CERTS=cert.pem timeout 150 node client.js "$(cat port)" 2>client.log &
  local client=$!
  wait "$server"
  kill "$client"
  wait "$client" 2>/dev/null || true
  cat away
}

cut=$(away cut) close=$(away close)
echo "cut: back after $cut s"
echo "close: back after $close s"
awk -v cut="$cut" -v close_="$close" 'BEGIN { exit !(cut < 10 && close_ >= 30) }'
