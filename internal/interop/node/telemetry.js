'use strict';
// Sends COUNT messages over TRANSPORT; ends when all are acknowledged.
//   telemetry.js pipelined   all on one connection, without waiting in between
//   telemetry.js sync        one after the other
//   telemetry.js batch       a hundred in one call. Only HTTP has it, and the SDK sends bodies and properties alone
//   DEVICE_CONNECTION_STRING, RUN_ID, COUNT; UUIDS=1: ids that the SDK sends as AMQP uuids
const { need, check, transportName, openDevice, journey } = require('./lib');
const { Message } = require('azure-iot-device');

const run = need('RUN_ID');
const count = Number(need('COUNT'));

// uuid returns one that tells the number.
const uuid = (number) => `01234567-89ab-4cde-8f01-${String(number).padStart(12, '0')}`;

function reading(number) {
  const message = new Message(JSON.stringify({ run, number, windSpeed: 5 + (number % 16) }));
  message.messageId = process.env.UUIDS ? uuid(number) : `${run}-${number}`;
  message.correlationId = process.env.UUIDS ? uuid(count + number) : `correlation ${number}/${transportName === 'http' ? 'a' : 'ä'}`;
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('number', String(number));
  // Header names and values have fewer characters.
  if (transportName === 'http') message.properties.add('awkward~name', 'a/b & c=d + $');
  else message.properties.add('awkward name', 'a/b & c=d + €');
  return message;
}

const numbers = (first, end) => Array.from({ length: end - first }, (_, i) => first + i);

async function send(device, mode) {
  const results = [];
  if (mode === 'pipelined') return Promise.all(numbers(0, count).map((n) => device.sendEvent(reading(n))));
  if (mode === 'sync') {
    for (const n of numbers(0, count)) results.push(await device.sendEvent(reading(n)));
    return results;
  }
  if (mode !== 'batch') throw new Error(`the way to send is ${mode}`);
  for (let first = 0; first < count; first += 100) {
    results.push(await device.sendEventBatch(numbers(first, Math.min(first + 100, count)).map(reading)));
  }
  return results;
}

journey(async () => {
  const device = openDevice(need('DEVICE_CONNECTION_STRING'));
  await device.open();
  const results = await send(device, process.argv[2]);
  check(results.every((r) => r.constructor.name === 'MessageEnqueued'), `${count} messages are acknowledged`);
  await device.close();
});
