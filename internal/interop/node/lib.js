'use strict';
// What every journey shares: its inputs, its checks, its deadline and its exit status.
//
// Inputs are environment variables, so that no key stands on a command line. A journey ends with status 0 and the
// line PASSED only when it did what it is for; anything else is status 1 with the reason on stderr. The trust in the
// hub's authority comes from NODE_EXTRA_CA_CERTS, the one switch that reaches every Azure package.

const crypto = require('node:crypto');
const readline = require('node:readline');

const secondsForAll = Number(process.env.JOURNEY_SECONDS || 60);

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} is required`);
  return value;
}

// fields takes a connection string apart.
function fields(connectionString) {
  return Object.fromEntries(connectionString.split(';').map((part) => {
    const at = part.indexOf('=');
    return [part.slice(0, at), part.slice(at + 1)];
  }));
}

// sign makes a SAS token that ends `seconds` from now; a negative number makes one that has ended.
function sign(resource, key, policy, seconds) {
  const sr = encodeURIComponent(resource);
  const se = Math.floor(Date.now() / 1000) + seconds;
  const sig = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(`${sr}\n${se}`).digest('base64');
  const skn = policy ? `&skn=${policy}` : '';
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}${skn}`;
}

function check(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
  console.log(`ok ${what}`);
}

// refusal waits for a promise to fail and returns its error; success is the failure here.
async function refusal(promise, what) {
  try {
    await promise;
  } catch (e) {
    return e;
  }
  throw new Error(`not so: ${what} is refused`);
}

function within(promise, what, seconds) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${seconds} s: ${what}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The transports of the device SDK. Each package is loaded only when it is used.
const transports = {
  mqtt: () => require('azure-iot-device-mqtt').Mqtt,
  'mqtt-ws': () => require('azure-iot-device-mqtt').MqttWs,
  amqp: () => require('azure-iot-device-amqp').Amqp,
  'amqp-ws': () => require('azure-iot-device-amqp').AmqpWs,
  http: () => require('azure-iot-device-http').Http,
};

// transportName is the one that TRANSPORT names, MQTT when it is unset.
const transportName = process.env.TRANSPORT || 'mqtt';

function deviceTransport(name = transportName) {
  const load = transports[name];
  if (!load) throw new Error(`TRANSPORT is ${name}`);
  return load();
}

// openDevice makes a device client over that transport. Unless it may retry, the SDK's patience of up to four minutes is
// replaced by none, so that a failure shows at once.
function openDevice(connectionString, { retry = false } = {}) {
  const { Client } = require('azure-iot-device');
  const { NoRetry } = require('azure-iot-common');
  const client = Client.fromConnectionString(connectionString, deviceTransport());
  if (!retry) client.setRetryPolicy(new NoRetry());
  return client;
}

// toldToStop ends when the test writes a line or closes our standard input.
function toldToStop() {
  return new Promise((resolve) => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.once('line', resolve);
    lines.once('close', resolve);
  });
}

// eachCommand calls handle with each line of our standard input, which is JSON, and ends when that is closed and all of
// it is done. It does not wait for one command before the next.
async function eachCommand(handle) {
  const running = [];
  for await (const line of readline.createInterface({ input: process.stdin })) running.push(handle(JSON.parse(line)));
  await Promise.all(running);
}

function journey(main) {
  within(Promise.resolve().then(main), 'the whole journey', secondsForAll).then(
    () => { console.log('PASSED'); process.exit(0); },
    (e) => { console.error('FAILED', e && e.stack ? e.stack : e); process.exit(1); },
  );
}

module.exports = {
  need, fields, sign, check, refusal, transportName, deviceTransport, openDevice, toldToStop, eachCommand, journey,
};
