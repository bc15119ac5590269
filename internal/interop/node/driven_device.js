'use strict';
// A device over TRANSPORT that does what the lines of its standard input say, and prints "done N RESULT" or "failed N ERROR"
// for each. Both are JSON; each line is {"n", "do"} and what it takes:
//   twin                      its twin: {"desired", "reported"}
//   watch                     from now on prints "desired {...}" for each change it is told of
//   report patch              updates reported properties
//   handle                    from now on answers direct methods, and prints "call {"method", "payload"}" for each:
//                             echo answers 207 with the payload, close too, and then closes the device; hold waits for
//                             the command answer
//   answer key status payload answers the call of hold whose payload has that key
//   open                      connects; CLOSED=1: not before this
// An ERROR is {"name", "message"}. Prints "ready" once it can be told, and ends with its standard input.
//   DEVICE_CONNECTION_STRING; RETRY=1: the SDK connects again by itself
const { need, check, openDevice, eachCommand, journey } = require('./lib');

const device = openDevice(need('DEVICE_CONNECTION_STRING'), { retry: process.env.RETRY === '1' });
const held = new Map();
let twin;

const say = (verb, value) => console.log(`${verb} ${JSON.stringify(value)}`);

async function getTwin() {
  twin = await (twin ? twin.get() : device.getTwin());
  const { desired, reported: { update, ...reported } } = twin.properties;
  return { desired, reported };
}

function handle() {
  const answers = {
    echo: (request, response) => response.send(207, request.payload),
    hold: (request, response) => held.set(request.payload.key, response),
    close: async (request, response) => {
      await response.send(207, request.payload);
      await device.close();
    },
  };
  for (const [method, answer] of Object.entries(answers)) {
    device.onDeviceMethod(method, (request, response) => {
      say('call', { method: request.methodName, payload: request.payload });
      answer(request, response);
    });
  }
}

const verbs = {
  open: () => device.open().then(() => null),
  twin: getTwin,
  watch: async () => { twin.on('properties.desired', (change) => say('desired', change)); },
  report: ({ patch }) => new Promise((resolve, reject) => {
    twin.properties.reported.update(patch, (e) => (e ? reject(e) : resolve()));
  }),
  handle: async () => handle(),
  answer: ({ key, status, payload }) => held.get(key).send(status, payload),
};

async function obey(command) {
  try {
    const result = await verbs[command.do](command);
    say(`done ${command.n}`, result && result.constructor === Object ? result : null);
  } catch (e) {
    say(`failed ${command.n}`, { name: e.name, message: e.message });
  }
}

journey(async () => {
  device.on('error', (e) => console.log(`error ${e.name}`));
  if (process.env.CLOSED !== '1') await device.open();
  console.log('ready');
  await eachCommand(obey);
  await device.close();
  check(true, 'the device is closed');
});
