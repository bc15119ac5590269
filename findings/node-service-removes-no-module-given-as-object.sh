#!/usr/bin/env bash
# azure-iothub for Node cannot remove a module that it is given as an object, when the caller awaits the outcome.
#
# Packages: azure-iothub 1.16.6 (npm), Node.js 20. Peer: none; the program hands the Registry a transport of its own that notes each
# request and answers 204, as the hub does.
#
# Registry.removeModule takes a module's two ids, or a Module, whose etag it sends; and a callback, or none for a promise. Of the four
# ways three send DELETE. The fourth, a Module and no callback, is in the package's types (dist/registry.d.ts), and what
# registry.getModule has returned is the thing to give it; it rejects with
#
#   ReferenceError: Argument 'done' cannot be falsy
#
# and nothing is sent. Who removes a module with the etag that was read has to pass a callback.
#
# Seen: the four lines below. Fails when one of them is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true, "dependencies": {"azure-iothub": "1.16.6"}}' >package.json
npm install --no-audit --no-fund --silent

cat >remove.js <<'END'
const { Registry } = require('azure-iothub');

const sent = [];
const transport = {
  executeApiCall(method, path, headers, body, ...rest) {
    sent.push(`${method} If-Match ${headers['If-Match']}`);
    rest.pop()(null, null, { statusCode: 204 });
  },
};
const registry = new Registry({ host: 'hub.example', sharedAccessSignature: { toString: () => '' } }, transport);
const part = { deviceId: 'd', moduleId: 'm', etag: 'MQ==' };

async function line(what, remove) {
  sent.length = 0;
  let outcome = 'done';
  try { await remove(); } catch (err) { outcome = `${err.name}: ${err.message}`; }
  console.log(`${what}: ${outcome}; sent ${sent.join(', ') || 'nothing'}`);
}
const called = (start) => new Promise((resolve, reject) => start((err) => (err ? reject(err) : resolve())));

(async () => {
  await line('ids, callback', () => called((done) => registry.removeModule('d', 'm', done)));
  await line('ids, promise', () => registry.removeModule('d', 'm'));
  await line('module, callback', () => called((done) => registry.removeModule(part, done)));
  await line('module, promise', () => registry.removeModule(part));
})();
END
timeout 60 node remove.js >got
cat got
diff - got <<'END'
ids, callback: done; sent DELETE If-Match "*"
ids, promise: done; sent DELETE If-Match "*"
module, callback: done; sent DELETE If-Match "MQ=="
module, promise: ReferenceError: Argument 'done' cannot be falsy; sent nothing
END
