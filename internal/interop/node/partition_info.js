'use strict';
// Asks for the properties of the event hub and of its partitions, and for a partition that is not there. The first
// argument names the client: eh6, eh02 or eh008, which knows the names of the partitions only.
//   EVENTHUB_CONNECTION_STRING, HUB_CONNECTION_STRING (eh02 and eh008)
//
//   eventhub {...}   name, created, partitions
//   partition {...}  partition, begin, lastSequence, lastOffset, lastEnqueued, empty
//   refused NAME     the SDK's error for a partition that is not there
const { need, refusal, journey } = require('./lib');
const { named } = require('./reader');

const say = (verb, what) => console.log(`${verb} ${JSON.stringify(what)}`);

async function eh6() {
  const { EventHubConsumerClient } = require('@azure/event-hubs');
  const client = new EventHubConsumerClient('$Default', need('EVENTHUB_CONNECTION_STRING'));
  const hub = await client.getEventHubProperties();
  say('eventhub', { name: hub.name, created: hub.createdOn.getTime(), partitions: hub.partitionIds });
  for (const id of hub.partitionIds) {
    const p = await client.getPartitionProperties(id);
    say('partition', {
      partition: p.partitionId, begin: p.beginningSequenceNumber, lastSequence: p.lastEnqueuedSequenceNumber,
      lastOffset: p.lastEnqueuedOffset, lastEnqueued: p.lastEnqueuedOnUtc.getTime(), empty: p.isEmpty,
    });
  }
  console.log(`refused ${named(await refusal(client.getPartitionProperties('99'), 'a partition that is not there'))}`);
  await client.close();
}

async function eh02() {
  const { EventHubClient } = require('azure-event-hubs');
  const client = await EventHubClient.createFromIotHubConnectionString(need('HUB_CONNECTION_STRING'));
  const hub = await client.getHubRuntimeInformation();
  say('eventhub', { name: hub.path, created: hub.createdAt.getTime(), partitions: hub.partitionIds });
  for (const id of hub.partitionIds) {
    const p = await client.getPartitionInformation(Number(id) || id); // both are allowed, and sent as they are
    say('partition', {
      partition: p.partitionId, begin: p.beginningSequenceNumber, lastSequence: p.lastSequenceNumber,
      lastOffset: p.lastEnqueuedOffset, lastEnqueued: p.lastEnqueuedTimeUtc.getTime(),
    });
  }
  console.log(`refused ${named(await refusal(client.getPartitionInformation('99'), 'a partition that is not there'))}`);
  await client.close();
}

async function eh008() {
  const { Client } = require('azure-event-hubs-008');
  const client = Client.fromConnectionString(need('HUB_CONNECTION_STRING'));
  await client.open();
  say('eventhub', { partitions: await client.getPartitionIds() });
  await client.close();
}

journey({ eh6, eh02, eh008 }[process.argv[2]]);
