'use strict';
// A device that receives over TRANSPORT until it is told to stop. It does with each message what the property "verdict"
// says, else VERDICT, else complete: complete, reject, abandon, hold, or later: hold the first time, complete the second.
// Prints "ready", "message {...}" for each delivery, "settled VERDICT ID" and "error NAME".
//   DEVICE_CONNECTION_STRING; RETRY=1: the SDK connects again by itself; SEEN: the id of a message that an earlier run held
const { need, check, transportName, openDevice, toldToStop, journey } = require('./lib');
const { letterOf } = require('./c2d');

const results = { complete: 'MessageCompleted', reject: 'MessageRejected', abandon: 'MessageAbandoned' };
const seen = new Set(process.env.SEEN ? [process.env.SEEN] : []);

function verdictOf({ id, properties }) {
  const verdict = properties.verdict || process.env.VERDICT || 'complete';
  const again = seen.has(id);
  seen.add(id);
  if (verdict !== 'later') return verdict;
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
    const letter = letterOf(message);
    const verdict = verdictOf(letter);
    console.log(`message ${JSON.stringify(letter)}`);
    if (verdict === 'hold') return;
    try {
      const result = await device[verdict](message);
      if (result.constructor.name !== results[verdict]) throw new Error(`${verdict} answered ${result.constructor.name}`);
      console.log(`settled ${verdict} ${letter.id}`);
    } catch (e) {
      broken(e);
    }
  });
  console.log('ready');
  await Promise.race([stop, failed]);
  await device.close();
  check(true, 'the device is closed');
});
