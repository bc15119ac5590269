'use strict';
// Calls of the registry that must be refused, one for each case; prints "refused CASE ERROR".
//   HUB_CONNECTION_STRING
const dns = require('node:dns');
const https = require('node:https');
const { need, fields, sign, refusal, journey } = require('./lib');
const { Registry } = require('azure-iothub');

const connectionString = need('HUB_CONNECTION_STRING');
const { HostName, SharedAccessKeyName, SharedAccessKey } = fields(connectionString);
const otherKey = Buffer.alloc(32, 1).toString('base64');

const cases = {
  'wrong-key': () => Registry.fromConnectionString(`HostName=${HostName};SharedAccessKeyName=${SharedAccessKeyName};SharedAccessKey=${otherKey}`),
  'unknown-policy': () => Registry.fromConnectionString(`HostName=${HostName};SharedAccessKeyName=nobody;SharedAccessKey=${SharedAccessKey}`),
  'expired-token': () => Registry.fromSharedAccessSignature(sign(HostName, SharedAccessKey, SharedAccessKeyName, -60)),
  'unknown-host': () => {
    const stranger = Registry.fromConnectionString(`HostName=unknown.example;SharedAccessKeyName=${SharedAccessKeyName};SharedAccessKey=${SharedAccessKey}`);
    stranger._restApiClient.setOptions({ http: { agent: agentTo(HostName) } });
    return stranger;
  },
};

journey(async () => {
  for (const [name, open] of Object.entries(cases)) {
    const error = await refusal(open().get('whoever'), name);
    console.log(`refused ${name} ${error.name}`);
  }
});

// agentTo dials host whatever the URL says, as a wrong line in a hosts file would.
function agentTo(host) {
  return new https.Agent({ servername: host, lookup: (_, options, done) => dns.lookup(host, options, done) });
}
