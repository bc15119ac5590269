'use strict';
// The life of modules in the registry, those of an Edge device's own too, and the errors that the SDK has names for.
//   HUB_CONNECTION_STRING, RUN_ID
const { need, check, refusal, journey } = require('./lib');
const { Registry } = require('azure-iothub');

const run = need('RUN_ID');
const registry = Registry.fromConnectionString(need('HUB_CONNECTION_STRING'));

journey(async () => {
  await lifeOfAModule(run);
  await limit(`${run}-limit`);
  await edgeDevice(`${run}-edge`);
});

async function lifeOfAModule(deviceId) {
  await registry.create({ deviceId });
  const made = (await registry.addModule({ deviceId, moduleId: 'm1', managedBy: 'me' })).responseBody;
  check(made.moduleId === 'm1' && made.deviceId === deviceId && made.managedBy === 'me', 'addModule shows what it made');
  check(made.authentication.type === 'sas' && made.authentication.symmetricKey.primaryKey, 'with keys of the hub');
  const twice = await refusal(registry.addModule({ deviceId, moduleId: 'm1' }), 'a module that exists');
  check(twice.name === 'DeviceAlreadyExistsError', `it is a DeviceAlreadyExistsError (it was ${twice.name})`);
  const orphan = await refusal(registry.addModule({ deviceId: `${deviceId}-none`, moduleId: 'm1' }), 'a module of no device');
  check(orphan.name === 'DeviceNotFoundError', `it is a DeviceNotFoundError (it was ${orphan.name})`);
  const own = await refusal(registry.addModule({ deviceId, moduleId: '$mine' }), 'an id of the hub');
  check(own.name === 'ArgumentError', `it is an ArgumentError (it was ${own.name})`);

  const got = (await registry.getModule(deviceId, 'm1')).responseBody;
  check(JSON.stringify(got) === JSON.stringify(made), 'getModule shows what addModule showed');
  await registry.addModule({ deviceId, moduleId: 'm2' });
  const listed = (await registry.getModulesOnDevice(deviceId)).responseBody.map((m) => m.moduleId);
  check(listed.join() === 'm1,m2', `getModulesOnDevice lists both (it lists ${listed})`);

  const updated = (await registry.updateModule({ ...got, managedBy: 'you' })).responseBody;
  check(updated.managedBy === 'you' && updated.etag !== got.etag, 'updateModule changes it');
  const stale = await refusal(registry.updateModule(got), 'a stale etag');
  check(stale.name === 'InvalidEtagError', `it is an InvalidEtagError (it was ${stale.name})`);
  const forced = (await registry.updateModule({ ...got, managedBy: 'them' }, true)).responseBody;
  check(forced.managedBy === 'them', 'a forced update needs no etag');

  await registry.removeModule(deviceId, 'm1');
  await removeObject((await registry.getModule(deviceId, 'm2')).responseBody);
  check((await registry.getModulesOnDevice(deviceId)).responseBody.length === 0, 'removeModule removes both');
  await registry.delete(deviceId);
}

// Without a callback, removeModule does not take an object.
function removeObject(module) {
  return new Promise((resolve, reject) => registry.removeModule(module, (e) => (e ? reject(e) : resolve())));
}

async function limit(deviceId) {
  await registry.create({ deviceId });
  for (let n = 0; n < 50; n++) await registry.addModule({ deviceId, moduleId: `m${n}` });
  const tooMany = await refusal(registry.addModule({ deviceId, moduleId: 'm50' }), 'the 51st module');
  check(tooMany.response.statusCode === 413, `its status is 413 (it was ${tooMany.response.statusCode})`);
  await registry.delete(deviceId);
}

async function edgeDevice(deviceId) {
  await registry.create({ deviceId, capabilities: { iotEdge: true } });
  const own = (await registry.getModulesOnDevice(deviceId)).responseBody.map((m) => `${m.moduleId} ${m.managedBy} ${m.authentication.type}`);
  check(own.join() === '$edgeAgent iotEdge none,$edgeHub iotEdge none', `an Edge device has two modules (it has ${own})`);
  const twin = (await registry.updateModuleTwin(deviceId, '$edgeAgent', { properties: { desired: { schemaVersion: '1.1' } } }, '*')).responseBody;
  check(twin.moduleId === '$edgeAgent' && twin.properties.desired.schemaVersion === '1.1', 'with twins');
  await registry.delete(deviceId);
}
