'use strict';
// Connects devices and waits until the hub has closed all of them; prints "connected NAME" and "disconnected NAME".
//   CASES: a JSON object from name to connection string
const { need, openDevice, journey } = require('./lib');

async function untilClosed(name, connectionString) {
  const device = openDevice(connectionString);
  const ended = new Promise((resolve) => device.once('disconnect', resolve));
  await device.open();
  console.log(`connected ${name}`);
  await ended;
  console.log(`disconnected ${name}`);
}

journey(async () => {
  const cases = Object.entries(JSON.parse(need('CASES')));
  await Promise.all(cases.map(([name, connectionString]) => untilClosed(name, connectionString)));
});
