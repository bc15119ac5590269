'use strict';
// Reads all partitions with azure-event-hubs 0.2; reader.js tells inputs and lines. With the hub's connection string the
// library asks the hub for the endpoint and follows the redirect.
const { setTimeout: pause } = require('node:timers/promises');
const { settings, startOf, printEvent, printError, opening, reading } = require('./reader');
const { EventHubClient, EventPosition } = require('azure-event-hubs');

function position(s, partition) {
  const from = startOf(s, partition);
  if (from.earliest) return EventPosition.fromStart();
  if (from.latest) return EventPosition.fromEnd();
  if (from.time !== undefined) return EventPosition.fromEnqueuedTime(from.time); // it has no inclusive form
  return from.offset !== undefined
    ? EventPosition.fromOffset(from.offset, s.inclusive)
    : EventPosition.fromSequenceNumber(from.sequence, s.inclusive);
}

function show(event, partition) {
  const { message_id: messageId, correlation_id: correlationId, content_type: contentType, content_encoding: contentEncoding } = event.properties || {};
  printEvent({
    partition, sequence: event.sequenceNumber, offset: event.offset, enqueued: event.enqueuedTimeUtc.getTime(),
    body: event.body, messageId, correlationId, contentType, contentEncoding,
    properties: event.applicationProperties, system: event.annotations,
  });
}

// whenOpen ends when a receiver is open. The library offers no event for it.
async function whenOpen(handler) {
  while (!handler.isReceiverOpen) await pause(20, undefined, { ref: false });
}

reading(async () => {
  const s = settings();
  const client = s.hub
    ? await EventHubClient.createFromIotHubConnectionString(s.hub)
    : EventHubClient.createFromConnectionString(s.eventHub);
  const partitions = await client.getPartitionIds();
  const opened = opening(partitions);
  for (const partition of partitions) {
    const handler = client.receive(partition, (event) => show(event, partition), printError, {
      eventPosition: position(s, partition), consumerGroup: s.group, epoch: s.ownerLevel,
    });
    whenOpen(handler).then(() => opened(partition));
  }
  return () => client.close();
});
