'use strict';
// What the programs that read events share: where to start, and the lines they print.
//
// Inputs, all environment variables:
//   EVENTHUB_CONNECTION_STRING  Endpoint=sb://...;EntityPath=...
//   HUB_CONNECTION_STRING       HostName=...; a client that can follow the hub's redirect takes this one when it is set
//   CONSUMER_GROUP              $Default when unset
//   TRANSPORT                   amqp (default), ws, or plain: no TLS, as for the vendor's emulator
//   START                       earliest (default), latest, offset, sequence or time
//   POSITIONS                   offset, sequence: a JSON object from partition to position, a partition that is not
//                               named is read from its start; time: milliseconds since 1970
//   INCLUSIVE                   1: the event at the position, too
//   OWNER_LEVEL                 an exclusive reader of this level
//
// Lines: "ready" when all partitions are open, "event {...}" for each event, "error NAME TEXT" for each error that the
// SDK reports. The program goes on until the test closes its standard input.

const { need, toldToStop, journey } = require('./lib');

function settings() {
  const env = process.env;
  return {
    hub: env.HUB_CONNECTION_STRING,
    get eventHub() { return need('EVENTHUB_CONNECTION_STRING'); },
    group: env.CONSUMER_GROUP || '$Default',
    transport: env.TRANSPORT || 'amqp',
    start: env.START || 'earliest',
    positions: JSON.parse(env.POSITIONS || '{}'),
    inclusive: env.INCLUSIVE === '1',
    ownerLevel: env.OWNER_LEVEL ? Number(env.OWNER_LEVEL) : undefined,
  };
}

// startOf returns what the reader of a partition begins with: { earliest }, { latest }, { offset }, { sequence } or
// { time }.
function startOf(s, partition) {
  if (s.start === 'time') return { time: Number(s.positions) };
  if (s.start === 'earliest' || s.start === 'latest') return { [s.start]: true };
  const position = s.positions[partition];
  if (position === undefined) return { earliest: true };
  return { [s.start]: s.start === 'sequence' ? Number(position) : position };
}

function text(body) {
  if (Buffer.isBuffer(body)) return body.toString('utf8');
  return typeof body === 'string' ? body : JSON.stringify(body);
}

// stamps returns what the hub says about the device, with times as milliseconds.
function stamps(annotations) {
  const ours = Object.entries(annotations || {}).filter(([name]) => name.startsWith('iothub-'));
  return Object.fromEntries(ours.map(([name, value]) => [name, value instanceof Date ? value.getTime() : value]));
}

function printEvent({ system, body, properties, ...rest }) {
  const shown = stamps(system);
  console.log(`event ${JSON.stringify({
    ...rest, device: shown['iothub-connection-device-id'], body: text(body), properties: properties || {}, system: shown,
  })}`);
}

// last returns the last of the errors of several attempts.
function last(error) {
  return error instanceof AggregateError && error.errors.length > 0 ? last(error.errors[error.errors.length - 1]) : error;
}

// named returns the most telling name of an error: its code, else its class, else for classes that say nothing the AMQP
// condition.
function named(error) {
  const { code, condition, transport, name } = last(error);
  const kind = ['Error', 'MessagingError', 'AmqpProtocolError'].includes(name) ? undefined : name;
  return [code, kind, condition, transport && transport.condition, name].find((n) => typeof n === 'string' && n);
}

function printError(reason) {
  const error = reason instanceof Error ? last(reason) : new Error(String(reason));
  console.log(`error ${named(error)} ${String(error.message).replace(/\s+/g, ' ')}`);
}

// opening prints "ready" once each of the partitions has been told to be open.
function opening(partitions) {
  const closed = new Set(partitions);
  return (partition) => {
    if (closed.delete(partition) && closed.size === 0) console.log('ready');
  };
}

// reading runs a reader until told to stop: open starts it and returns what closes it. An error in open is printed and
// leaves the program waiting, as one of an open receiver does.
function reading(open) {
  process.on('unhandledRejection', printError); // some of these libraries report failures no other way
  journey(async () => {
    const stop = toldToStop();
    const close = await Promise.race([open().catch((e) => { printError(e); }), stop]);
    await stop;
    if (typeof close === 'function') await close();
  });
}

module.exports = { settings, startOf, printEvent, printError, named, opening, reading };
