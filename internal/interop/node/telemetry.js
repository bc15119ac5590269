'use strict';
// Sends COUNT messages over one MQTT connection without waiting in between; ends when all are acknowledged.
//   DEVICE_CONNECTION_STRING, RUN_ID, COUNT
const { need, check, openDevice, journey } = require('./lib');
const { Message } = require('azure-iot-device');

const run = need('RUN_ID');

function reading(number) {
  const message = new Message(JSON.stringify({ run, number, windSpeed: 5 + (number % 16) }));
  message.messageId = `${run}-${number}`;
  message.correlationId = `correlation ${number}/ä`;
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('number', String(number));
  message.properties.add('awkward name', 'a/b & c=d + €');
  return message;
}

journey(async () => {
  const device = openDevice(need('DEVICE_CONNECTION_STRING'));
  await device.open();
  const count = Number(need('COUNT'));
  const results = await Promise.all(Array.from({ length: count }, (_, number) => device.sendEvent(reading(number))));
  check(results.every((r) => r.constructor.name === 'MessageEnqueued'), `${count} messages are acknowledged`);
  await device.close();
});
