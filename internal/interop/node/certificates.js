'use strict';
// Asks for the certificate of each of NAMES, a JSON array, at PORT of this machine; prints "NAME verified by CN, N names",
// or "NAME refused CODE" when Node does not trust it. An empty name is none: no SNI is sent.
const tls = require('tls');
const { need, journey } = require('./lib');

function ask(name) {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port: Number(need('PORT')), servername: name, checkServerIdentity: check(name) };
    const socket = tls.connect(options, () => {
      const leaf = socket.getPeerCertificate();
      resolve(`verified by ${leaf.subject.CN}, ${leaf.subjectaltname.split(', ').length} names`);
      socket.end();
    });
    socket.on('error', (error) => resolve(`refused ${error.code}`));
  });
}

// check looks for the name that was asked for: without SNI Node would look for the address.
function check(name) {
  return (_, certificate) => tls.checkServerIdentity(name || 'localhost', certificate);
}

journey(async () => {
  for (const name of JSON.parse(need('NAMES'))) console.log(`${name} ${await ask(name)}`);
});
