'use strict';
// A back end that does what the lines of its standard input say, as driven_device.js does. Devices are named by "device".
//   get                       a twin
//   update patch [etag]       updates a twin
//   invoke method [payload] [response] [connect]
//                             calls a direct method, with time-outs in seconds: {"status", "payload"}
//   query text                all rows of a query
//   addModule module          registers a module, and returns it as the hub does
// An ERROR is {"name", "status", "code"}: the SDK's name, and the HTTP status and code of the hub, a
// number or a name.
//   HUB_CONNECTION_STRING
const { need, eachCommand, journey } = require('./lib');
const { Client, Registry } = require('azure-iothub');
const { NoRetry } = require('azure-iot-common');

const registry = Registry.fromConnectionString(need('HUB_CONNECTION_STRING'));
const client = Client.fromConnectionString(need('HUB_CONNECTION_STRING'));
client.setRetryPolicy(new NoRetry());

const say = (verb, value) => console.log(`${verb} ${JSON.stringify(value)}`);

async function rows(text) {
  const query = registry.createQuery(text, 100);
  const all = [];
  while (query.hasMoreResults) all.push(...(await query.nextAsTwin()).result);
  return all;
}

const verbs = {
  get: async ({ device }) => (await registry.getTwin(device)).responseBody,
  update: async ({ device, patch, etag = '*' }) => (await registry.updateTwin(device, patch, etag)).responseBody,
  invoke: async ({ device, method, payload, response, connect }) => (await client.invokeDeviceMethod(device, {
    methodName: method, payload, responseTimeoutInSeconds: response, connectTimeoutInSeconds: connect,
  })).result,
  query: ({ text }) => rows(text),
  addModule: async ({ module }) => (await registry.addModule(module)).responseBody,
};

// errorOf finds the hub's code in the body of an answer, in any of its envelopes.
function errorOf(e) {
  const [, code] = /errorCode\W+(\w+)/i.exec(e.responseBody || '') || [];
  return { name: e.name, status: e.response ? e.response.statusCode : 0, code };
}

async function obey(command) {
  try {
    say(`done ${command.n}`, await verbs[command.do](command));
  } catch (e) {
    say(`failed ${command.n}`, errorOf(e));
  }
}

journey(async () => {
  console.log('ready');
  await eachCommand(obey);
});
