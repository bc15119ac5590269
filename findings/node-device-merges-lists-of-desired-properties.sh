#!/usr/bin/env bash
# azure-iot-device for Node merges a list of desired properties into the older list, place by place, where the hub replaces it.
#
# Packages: azure-iot-device 1.18.4, azure-iot-common 1.13.3 (npm), Node.js 20. Peer: none; the program hands the client's Twin a
# transport of its own, an event emitter of twenty lines that answers getTwin and emits one change of desired properties, as the
# SDK's transports do with what a hub sends.
#
# Microsoft's documentation has lists replaced as a whole ("Understand and use device twins in IoT Hub"; RFC 7396 says the same of
# merge patches). The device has {"doors": [1, 2, 3], "names": [{"a": 1}, {"b": 2}]} and is told {"doors": [9], "names": [{"c": 3}]}. In
# twin.properties.desired it then finds
#
#   doors  [9,2,3]                  should be [9]
#   names  [{"a":1,"c":3},{"b":2}]  should be [{"c":3}]
#
# and the listener of that very change is given [9,2,3] too, so that no place in the program has what was sent. The Twin merges with
# lodash's merge (lib/twin.js), which takes lists for objects with numbers as names. Who shortens a list for devices on Node should
# remove it first, or keep what varies in an object.
#
# Seen: the lines above. Fails when a list is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "dependencies": {"azure-iot-device": "1.18.4", "azure-iot-common": "1.13.3"}}' >package.json
npm install --no-audit --no-fund --silent

cat >twin.js <<'END'
const { EventEmitter } = require('events');
const { Client } = require('azure-iot-device');
const { results } = require('azure-iot-common');

class Transport extends EventEmitter {
  connect(done) { done(null, new results.Connected()); }
  setOptions(_, done) { done(); }
  getTwin(done) {
    done(null, { desired: { doors: [1, 2, 3], names: [{ a: 1 }, { b: 2 }], $version: 1 }, reported: { $version: 1 } });
  }
  enableTwinDesiredPropertiesUpdates(done) { done(); }
  disableTwinDesiredPropertiesUpdates(done) { done(); }
  disconnect(done) { done(null, new results.Disconnected()); }
}

const transport = new Transport();
const client = new Client(transport, null, null);
client.open((err) => {
  if (err) throw err;
  client.getTwin((err, twin) => {
    if (err) throw err;
    let told = false;
    twin.on('properties.desired', (change) => {
      if (!told) { told = true; return; } // the first call is the whole section
      console.log(`told ${JSON.stringify(change.doors)}`);
      console.log(`doors ${JSON.stringify(twin.properties.desired.doors)}`);
      console.log(`names ${JSON.stringify(twin.properties.desired.names)}`);
      process.exit(0);
    });
    transport.emit('twinDesiredPropertiesUpdate', { doors: [9], names: [{ c: 3 }], $version: 2 });
  });
});
END
timeout 60 node twin.js >got
cat got
diff - got <<'END'
told [9,2,3]
doors [9,2,3]
names [{"a":1,"c":3},{"b":2}]
END
