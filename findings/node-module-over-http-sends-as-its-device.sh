#!/usr/bin/env bash
# azure-iot-device-http for Node takes a ModuleClient, opens it, and sends the module's telemetry to the path of its device.
#
# Packages: azure-iot-device 1.18.4, azure-iot-device-http 1.14.4 (npm), Node.js 20; openssl for a certificate. Peer: a server for HTTPS
# of ten lines on loopback that answers 204 to everything, as the hub does to telemetry, and prints path and resource of the token.
#
# The REST calls of devices have none for modules (learn.microsoft.com/rest/api/iothub/device). Java's iot-device-client 2.5.0 says so,
# with an UnsupportedOperationException. Node's makes the client, opens it, and then posts to /devices/d/messages/events, the path of the
# device "d", with a token for /devices/d/modules/m. A hub has to answer 401, since the token is for another resource, and nothing in the
# program tells that it asked for what there is not. Who reads only the log of the hub looks for a wrong key.
#
# Seen: the six lines below. Fails when one of them is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "dependencies": {"azure-iot-device": "1.18.4", "azure-iot-device-http": "1.14.4"}}' >package.json
npm install --no-audit --no-fund --silent
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null

cat >send.js <<'END'
const https = require('https');
const fs = require('fs');
const { Client, ModuleClient, Message } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');

const server = https.createServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, (req, res) => {
  const resource = decodeURIComponent(/sr=([^&]*)/.exec(req.headers.authorization)[1]);
  console.log(`  ${req.method} ${req.url.split('?')[0]}, token for ${resource}`);
  req.resume();
  res.writeHead(204).end();
});
server.listen(0, '127.0.0.1', async () => {
  const request = https.request; // the transport knows no port but 443
  https.request = (options, done) => request({ ...options, host: 'localhost', port: server.address().port }, done);
  const common = 'HostName=localhost;DeviceId=d;SharedAccessKey=a2V5a2V5';
  for (const [what, client] of [
    ['device', Client.fromConnectionString(common, Http)],
    ['module', ModuleClient.fromConnectionString(`${common};ModuleId=m`, Http)],
  ]) {
    await client.open();
    console.log(`${what}: open`);
    await client.sendEvent(new Message('x'));
    console.log(`${what}: sent`);
  }
  process.exit(0);
});
END
NODE_EXTRA_CA_CERTS=cert.pem timeout 60 node send.js >got
cat got
diff - got <<'END'
device: open
  POST /devices/d/messages/events, token for localhost/devices/d
device: sent
module: open
  POST /devices/d/messages/events, token for localhost/devices/d/modules/m
module: sent
END
