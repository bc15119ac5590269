'use strict';
// Log-ins that must be refused, one for each case; prints "refused CASE ERROR".
//   CASES: a JSON object from case to connection string; the case expired-token signs with the key of its string
const { need, fields, sign, refusal, openDevice, journey } = require('./lib');
const { Client } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

function open(name, connectionString) {
  if (name !== 'expired-token') return openDevice(connectionString).open();
  const { HostName, DeviceId, SharedAccessKey } = fields(connectionString);
  return Client.fromSharedAccessSignature(sign(`${HostName}/devices/${DeviceId}`, SharedAccessKey, '', -60), Mqtt).open();
}

journey(async () => {
  for (const [name, connectionString] of Object.entries(JSON.parse(need('CASES')))) {
    const error = await refusal(open(name, connectionString), name);
    console.log(`refused ${name} ${error.name}`);
  }
});
