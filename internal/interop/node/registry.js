'use strict';
// The life of identities in the registry: one by one, in bulk, counted, and with the errors that the SDK has names for.
//   HUB_CONNECTION_STRING, RUN_ID
const { need, check, refusal, journey } = require('./lib');
const { Registry, versionQueryString } = require('azure-iothub');

const run = need('RUN_ID');
const registry = Registry.fromConnectionString(need('HUB_CONNECTION_STRING'));
const keyLength = (key) => Buffer.from(key || '', 'base64').length;

journey(async () => {
  await oneDevice(`${run}-one`);
  await keysOfOurOwn(`${run}-keys`);
  await inBulk([0, 1, 2].map((n) => `${run}-bulk-${n}`));
  await inPages([0, 1, 2, 3, 4].map((n) => `${run}-page-${n}`));
  await typedErrors(`${run}-errors`);
});

async function oneDevice(deviceId) {
  const made = (await registry.create({ deviceId })).responseBody;
  check(made.deviceId === deviceId && made.status === 'enabled', 'create without keys makes an enabled device');
  const keys = made.authentication.symmetricKey;
  check(keyLength(keys.primaryKey) >= 16 && keyLength(keys.secondaryKey) >= 16, 'the hub made both keys');
  check(keys.primaryKey !== keys.secondaryKey, 'the two keys differ');
  check(made.generationId && made.etag, 'generation id and etag are set');
  check(made.connectionState === 'Disconnected', 'it is disconnected');

  const got = (await registry.get(deviceId)).responseBody;
  check(JSON.stringify(got) === JSON.stringify(made), 'get shows what create showed');

  const updated = (await registry.update({ deviceId, status: 'disabled', statusReason: 'on the shelf', authentication: made.authentication })).responseBody;
  check(updated.status === 'disabled' && updated.statusReason === 'on the shelf', 'update changes the status and its reason');
  check(updated.etag !== made.etag, 'update changes the etag');
  check(updated.generationId === made.generationId, 'update keeps the generation id');
  check(updated.authentication.symmetricKey.primaryKey === keys.primaryKey, 'update keeps the key');

  const listed = (await registry.list()).responseBody.map((d) => d.deviceId);
  check(listed.includes(deviceId), 'list names the device');

  await registry.delete(deviceId);
  check((await refusal(registry.get(deviceId), 'get of a deleted device')).name === 'DeviceNotFoundError', 'after delete it is not found');

  const again = (await registry.create({ deviceId })).responseBody;
  check(again.generationId !== made.generationId, 'the same id registered again is a new generation');
  await registry.delete(deviceId);
}

async function keysOfOurOwn(deviceId) {
  const blank = (await registry.create({ deviceId, authentication: { symmetricKey: { primaryKey: '', secondaryKey: '' } } })).responseBody;
  check(keyLength(blank.authentication.symmetricKey.primaryKey) >= 16, 'blank keys mean: make them');
  await registry.delete(deviceId);

  const symmetricKey = { primaryKey: Buffer.alloc(32, 7).toString('base64'), secondaryKey: Buffer.alloc(32, 8).toString('base64') };
  const own = (await registry.create({ deviceId, authentication: { symmetricKey } })).responseBody;
  check(own.authentication.symmetricKey.primaryKey === symmetricKey.primaryKey, 'given keys are kept');
  await registry.delete(deviceId);
}

async function inBulk(ids) {
  const counts = async () => (await registry.getRegistryStatistics()).responseBody;
  const before = await counts();
  check((await registry.addDevices(ids.map((deviceId) => ({ deviceId })))).responseBody.isSuccessful, 'addDevices adds all');
  const during = await counts();
  check(during.totalDeviceCount === before.totalDeviceCount + ids.length, 'the statistics count them');
  check(during.enabledDeviceCount + during.disabledDeviceCount === during.totalDeviceCount, 'the statistics add up');

  const twice = await refusal(registry.addDevices([{ deviceId: ids[0] }, { deviceId: `${ids[0]}-new` }]), 'adding an existing device');
  const result = JSON.parse(twice.responseBody);
  check(twice.name === 'ArgumentError' && !result.isSuccessful, 'a bulk call with a bad row is an ArgumentError');
  check(result.errors.length === 1 && result.errors[0].deviceId === ids[0], 'its body names the bad row only');
  check((await registry.get(`${ids[0]}-new`)).responseBody.deviceId, 'the good row stands');

  const all = [...ids, `${ids[0]}-new`].map((deviceId) => ({ deviceId }));
  check((await registry.removeDevices(all, true)).responseBody.isSuccessful, 'removeDevices removes all');
  check((await counts()).totalDeviceCount === before.totalDeviceCount, 'the statistics forget them');
}

// The query by which the SDK lists more devices than Registry.list.
async function inPages(ids) {
  await registry.addDevices(ids.map((deviceId) => ({ deviceId })));
  for (const pageSize of [1, 2, 5, 100, undefined]) {
    const query = registry.createQuery('SELECT * FROM devices', pageSize);
    const seen = [];
    while (query.hasMoreResults) {
      const twins = (await query.nextAsTwin()).result;
      check(twins.length > 0 && twins.length <= (pageSize || 100), `a page of ${pageSize} has ${twins.length} rows`);
      seen.push(...twins);
    }
    const names = seen.map((t) => t.deviceId);
    check(ids.every((id) => names.filter((n) => n === id).length === 1), `pages of ${pageSize} have each device once`);
    const twin = seen.find((t) => t.deviceId === ids[0]);
    check(twin.properties.desired.$version === 1 && twin.properties.reported.$version === 1 && twin.version === 2, 'a row is a fresh twin');
    check(JSON.stringify(twin.tags) === '{}' && twin.status === 'enabled' && twin.etag && twin.deviceEtag, 'with the device in it');
  }
  const other = await refusal(registry.createQuery("SELECT * FROM devices WHERE status = 'enabled'").nextAsTwin(), 'another query');
  check(other.name === 'ArgumentError', `another query is an ArgumentError (it was ${other.name})`);
  await registry.removeDevices(ids.map((deviceId) => ({ deviceId })), true);
}

async function typedErrors(deviceId) {
  await registry.create({ deviceId });
  const errors = {
    DeviceAlreadyExistsError: () => registry.create({ deviceId }),
    DeviceNotFoundError: () => registry.update({ deviceId: `${deviceId}-unknown` }),
    ArgumentError: () => registry.create({ deviceId: 'no spaces allowed' }),
    InvalidEtagError: () => deleteWithEtag(deviceId, '"d3Jvbmc="'),
  };
  for (const [name, call] of Object.entries(errors)) {
    const error = await refusal(call(), name);
    check(error.name === name, `the SDK raises ${name} (it raised ${error.name}: ${error.message})`);
  }
  check((await registry.get(deviceId)).responseBody.deviceId, 'a delete with a wrong etag deletes nothing');
  await registry.delete(deviceId);
}

// The registry's own methods always send If-Match "*", so its HTTP client is asked directly for another one.
function deleteWithEtag(deviceId, etag) {
  return new Promise((resolve, reject) => {
    const path = `/devices/${encodeURIComponent(deviceId)}${versionQueryString()}`;
    registry._restApiClient.executeApiCall('DELETE', path, { 'If-Match': etag }, null, (e) => (e ? reject(e) : resolve()));
  });
}
