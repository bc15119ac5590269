'use strict';
// Reads all partitions with @azure/event-hubs; reader.js tells inputs and lines.
const { settings, startOf, printEvent, printError, opening, reading } = require('./reader');
const { EventHubConsumerClient, earliestEventPosition, latestEventPosition } = require('@azure/event-hubs');

function position(s, partition) {
  const from = startOf(s, partition);
  if (from.earliest) return earliestEventPosition;
  if (from.latest) return latestEventPosition;
  if (from.time !== undefined) return { enqueuedOn: from.time }; // this SDK has no inclusive form of it
  return from.offset !== undefined
    ? { offset: from.offset, isInclusive: s.inclusive }
    : { sequenceNumber: from.sequence, isInclusive: s.inclusive };
}

function show(event, partition) {
  printEvent({
    partition, sequence: event.sequenceNumber, offset: event.offset, enqueued: event.enqueuedTimeUtc.getTime(),
    body: event.body, messageId: event.messageId, correlationId: event.correlationId, contentType: event.contentType,
    contentEncoding: event.systemProperties.contentEncoding, properties: event.properties, system: event.systemProperties,
  });
}

reading(async () => {
  const s = settings();
  // The SDK's own 3 retries, 30 s apart, are made shorter, but not short: when they have been used up, a subscription
  // that keeps no checkpoints begins again where it had started.
  const options = { retryOptions: { maxRetries: 24, retryDelayInMs: 250, timeoutInMs: 15000 } };
  if (s.transport === 'ws') options.webSocketOptions = { webSocket: require('ws') };
  const client = new EventHubConsumerClient(s.group, s.eventHub, options);
  const partitions = await client.getPartitionIds();
  const opened = opening(partitions);
  client.subscribe({
    // It is called with no events when there are none for a while, so the first call tells that the partition is open.
    processEvents: async (events, context) => {
      opened(context.partitionId);
      for (const event of events) show(event, context.partitionId);
    },
    processError: async (error) => printError(error),
  }, {
    startPosition: Object.fromEntries(partitions.map((p) => [p, position(s, p)])),
    ownerLevel: s.ownerLevel, maxBatchSize: 100, maxWaitTimeInSeconds: 0.5, skipParsingBodyAsJson: true,
  });
  return () => client.close();
});
