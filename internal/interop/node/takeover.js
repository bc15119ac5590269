'use strict';
// Two connections with the same id: the second one works, the first one ends.
//   DEVICE_CONNECTION_STRING
const { need, check, openDevice, journey } = require('./lib');
const { Message } = require('azure-iot-device');

journey(async () => {
  const first = openDevice(need('DEVICE_CONNECTION_STRING'));
  const ended = new Promise((resolve) => first.once('disconnect', resolve));
  await first.open();
  await first.sendEvent(new Message('from the first'));

  const second = openDevice(need('DEVICE_CONNECTION_STRING'));
  await second.open();
  await ended;
  check(true, 'the first connection ended');
  await second.sendEvent(new Message('from the second'));
  check(true, 'the second connection sends');
  await second.close();
});
