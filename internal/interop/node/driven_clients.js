'use strict';
// Devices and modules, each with a transport and a credential of its own, driven as driven_device.js is. Each is named by
// "client":
//   open transport host device [module]  connects, with "key", with "token", or with "certificate" (the chain) and "privateKey",
//                                        which are PEM
//   send message                         sends telemetry, with the members that c2d.js tells; ends when it is acknowledged
//   receive                              the next message to the device, which it completes
//   close
const { deviceTransport, eachCommand, journey } = require('./lib');
const { messageOf, shown } = require('./c2d');
const { Client, ModuleClient, X509AuthenticationProvider } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');

const clients = new Map();

// withCertificate makes a client by certificate. For a module the SDK has no connection string, but takes a provider.
// Over HTTP setOptions has done its work at once, and never calls back.
async function withCertificate({ transport: name, host, device, module, certificate, privateKey }, transport) {
  const x509 = { cert: certificate, key: privateKey };
  if (module) {
    const credentials = { host, deviceId: device, moduleId: module, x509 };
    return ModuleClient.fromAuthenticationProvider(new X509AuthenticationProvider(credentials), transport);
  }
  const client = Client.fromConnectionString(`HostName=${host};DeviceId=${device};x509=true`, transport);
  const set = client.setOptions(x509);
  if (name !== 'http') await set;
  return client;
}

async function make(command) {
  const { transport: name, host, device, module, key, token, certificate } = command;
  const transport = deviceTransport(name);
  if (certificate) return withCertificate(command, transport);
  const kind = module ? ModuleClient : Client;
  if (token) return kind.fromSharedAccessSignature(token, transport);
  const place = module ? `${device};ModuleId=${module}` : device;
  return kind.fromConnectionString(`HostName=${host};DeviceId=${place};SharedAccessKey=${key}`, transport);
}

// receive takes the first message. The SDK stops to receive when nobody listens any more, and could not complete it then.
function receive(client, transport) {
  if (transport === 'http') client.setTransportOptions({ interval: 0.1, drain: true });
  return new Promise((resolve, reject) => {
    client.on('error', reject);
    client.on('message', (message) => client.complete(message).then(() => resolve(shown(message)), reject));
  });
}

const verbs = {
  open: async (command) => {
    const client = await make(command);
    client.setRetryPolicy(new NoRetry());
    client.on('error', () => {}); // whoever waits for something is told, too
    clients.set(command.client, { client, transport: command.transport });
    await client.open();
  },
  send: ({ client, message }) => clients.get(client).client.sendEvent(messageOf(message)).then(() => null),
  receive: ({ client }) => receive(clients.get(client).client, clients.get(client).transport),
  close: ({ client }) => clients.get(client).client.close().then(() => null),
};

async function obey(command) {
  try {
    const result = await verbs[command.do](command);
    console.log(`done ${command.n} ${JSON.stringify(result || null)}`);
  } catch (e) {
    console.log(`failed ${command.n} ${JSON.stringify({ name: e.name, message: e.message })}`);
  }
}

journey(async () => {
  console.log('ready');
  await eachCommand(obey);
});
