'use strict';
// A device on MQTT.js alone, which shows what the SDK does not: whether a delivery says that it may not be the first. It
// keeps its session. Prints "ready", "message {...}" as c2d_device.js does, with the member dup, and "disconnected".
//   DEVICE_CONNECTION_STRING; HOLD=1: nothing is acknowledged
const fs = require('node:fs');
const mqtt = require('mqtt');
const { need, fields, sign, toldToStop, journey } = require('./lib');

const { HostName, DeviceId, SharedAccessKey } = fields(need('DEVICE_CONNECTION_STRING'));

// bagOf takes the properties in a topic apart.
function bagOf(topic) {
  return Object.fromEntries(topic.split('/')[4].split('&').map((pair) => pair.split('=').map(decodeURIComponent)));
}

function show({ topic, payload, dup }) {
  const bag = bagOf(topic);
  const properties = Object.fromEntries(Object.entries(bag).filter(([name]) => !name.startsWith('$.') && name !== 'iothub-ack'));
  console.log(`message ${JSON.stringify({ id: bag['$.mid'], properties, body: payload.toString(), dup })}`);
}

journey(async () => {
  const stop = toldToStop();
  const client = mqtt.connect(`mqtts://${HostName}:8883`, {
    clientId: DeviceId, username: `${HostName}/${DeviceId}/?api-version=2021-04-12`, clean: false, reconnectPeriod: 0,
    password: sign(`${HostName}/devices/${DeviceId}`, SharedAccessKey, '', 3600), ca: fs.readFileSync(need('HUB_CA')),
  });
  client.on('close', () => console.log('disconnected'));
  client.handleMessage = (packet, acknowledge) => {
    show(packet);
    if (process.env.HOLD !== '1') acknowledge();
  };
  await new Promise((resolve, reject) => {
    client.on('error', reject);
    client.once('connect', () => {
      client.subscribe(`devices/${DeviceId}/messages/devicebound/#`, { qos: 1 }, (e) => (e ? reject(e) : resolve()));
    });
  });
  console.log('ready');
  await stop;
  await new Promise((resolve) => { client.end(true, {}, resolve); });
});
