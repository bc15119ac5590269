'use strict';
// A device that receives over TRANSPORT until it is told to stop. It does with each message what the property "outcome"
// says, else OUTCOME, else complete: complete, reject, abandon, hold, or later: hold the first time, complete the second.
// Prints "ready", "message {...}" for each delivery, "settled OUTCOME ID" and "error NAME".
//   DEVICE_CONNECTION_STRING; RETRY=1: the SDK connects again by itself; SEEN: the id of a message that an earlier run held
const { need, check, transportName, openDevice, toldToStop, journey } = require('./lib');
const { shown } = require('./c2d');

const results = { complete: 'MessageCompleted', reject: 'MessageRejected', abandon: 'MessageAbandoned' };
const seen = new Set(process.env.SEEN ? [process.env.SEEN] : []);

function outcomeOf({ id, properties }) {
  const outcome = properties.outcome || process.env.OUTCOME || 'complete';
  const again = seen.has(id);
  seen.add(id);
  if (outcome !== 'later') return outcome;
  return again ? 'complete' : 'hold';
}

journey(async () => {
  const stop = toldToStop();
  const device = openDevice(need('DEVICE_CONNECTION_STRING'), { retry: process.env.RETRY === '1' });
  device.on('error', (e) => console.log(`error ${e.name}`));
  device.on('disconnect', () => console.log('disconnected'));
  if (transportName === 'http') device.setTransportOptions({ interval: 0.1, drain: true });
  await device.open();
  let broken;
  const failed = new Promise((_, reject) => { broken = reject; });
  device.on('message', async (message) => {
    const received = shown(message);
    const outcome = outcomeOf(received);
    console.log(`message ${JSON.stringify(received)}`);
    if (outcome === 'hold') return;
    try {
      const result = await device[outcome](message);
      if (result.constructor.name !== results[outcome]) throw new Error(`${outcome} answered ${result.constructor.name}`);
      console.log(`settled ${outcome} ${received.id}`);
    } catch (e) {
      broken(e);
    }
  });
  console.log('ready');
  await Promise.race([stop, failed]);
  await device.close();
  check(true, 'the device is closed');
});
