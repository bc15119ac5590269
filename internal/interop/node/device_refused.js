'use strict';
// Log-ins over TRANSPORT that must be refused, one for each case; prints "refused CASE ERROR".
//   CASES: a JSON object from case to connection string; the case expired-token signs with the key of its string
const { need, fields, sign, refusal, transportName, deviceTransport, openDevice, journey } = require('./lib');
const { Client, Message } = require('azure-iot-device');

function client(name, connectionString) {
  if (name !== 'expired-token') return openDevice(connectionString);
  const { HostName, DeviceId, SharedAccessKey } = fields(connectionString);
  const token = sign(`${HostName}/devices/${DeviceId}`, SharedAccessKey, '', -60);
  return Client.fromSharedAccessSignature(token, deviceTransport());
}

// use opens a client, and sends with one whose opening is no more than a promise.
async function use(device) {
  await device.open();
  if (transportName === 'http') await device.sendEvent(new Message('from a stranger'));
}

journey(async () => {
  for (const [name, connectionString] of Object.entries(JSON.parse(need('CASES')))) {
    const error = await refusal(use(client(name, connectionString)), name);
    console.log(`refused ${name} ${error.name}`);
  }
});
