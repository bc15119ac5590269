'use strict';
// Sends numbered messages, one after the other, until told to stop; prints "acked N" for each. Reconnecting is left to
// the SDK.
//   DEVICE_CONNECTION_STRING, RUN_ID
const { setTimeout: pause } = require('node:timers/promises');
const { need, openDevice, toldToStop, journey } = require('./lib');
const { Message } = require('azure-iot-device');

const run = need('RUN_ID');

journey(async () => {
  const device = openDevice(need('DEVICE_CONNECTION_STRING'), { retry: true });
  device.on('error', (e) => console.log(`error ${e.name}`));
  let stopped = false;
  toldToStop().then(() => { stopped = true; });
  await device.open();
  for (let number = 0; !stopped; number++) {
    const message = new Message(JSON.stringify({ run, number }));
    message.messageId = `${run}-${number}`;
    await device.sendEvent(message);
    console.log(`acked ${number}`);
    await pause(20); // a device with something new to say fifty times a second
  }
  await device.close();
});
