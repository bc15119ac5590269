'use strict';
// Reads all partitions with azure-event-hubs 0.0.8, the library inside iothub-explorer, in the way its monitor-events
// does; reader.js tells inputs and lines. With the hub's connection string the library follows the redirect.
const { settings, startOf, printEvent, printError, opening, reading } = require('./reader');
const { Client } = require('azure-event-hubs-008');

// The library opens a receiver at once but hands it on by Bluebird, which waits for the end of the event loop's turn:
// events that come within that turn find nobody and are lost, in iothub-explorer too. A scheduler that does not wait
// keeps them.
require('bluebird').setScheduler(process.nextTick);

// options returns those of a receiver. Without any the library sends no filter.
function options(s, partition) {
  const from = startOf(s, partition);
  if (from.earliest) return undefined;
  if (from.latest) return { startAfterOffset: '@latest' };
  if (from.time !== undefined && !s.inclusive) return { startAfterTime: from.time };
  if (from.offset !== undefined && !s.inclusive) return { startAfterOffset: from.offset };
  const [name, value] = from.time !== undefined ? ['enqueuedtimeutc', from.time]
    : from.offset !== undefined ? ['offset', from.offset] : ['sequence-number', from.sequence];
  return { customFilter: `amqp.annotation.x-opt-${name} ${s.inclusive ? '>=' : '>'} '${value}'` };
}

function show(event, partition) {
  const { messageId, correlationId, contentType, contentEncoding } = event.properties || {};
  printEvent({
    partition, sequence: event.sequenceNumber, offset: event.offset, enqueued: event.enqueuedTimeUtc.getTime(),
    body: event.body, messageId, correlationId, contentType, contentEncoding,
    properties: event.applicationProperties, system: event.annotations,
  });
}

reading(async () => {
  const s = settings();
  const client = Client.fromConnectionString(s.hub || s.eventHub);
  await client.open();
  const partitions = await client.getPartitionIds();
  const opened = opening(partitions);
  for (const partition of partitions) {
    client.createReceiver(s.group, partition, options(s, partition)).then((receiver) => {
      receiver.on('errorReceived', printError);
      receiver.on('message', (event) => show(event, partition));
      opened(partition);
    }).catch(printError);
  }
  return () => client.close();
});
