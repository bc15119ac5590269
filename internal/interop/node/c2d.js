'use strict';
// What the programs of messages to devices share: how a message is made, and how it is shown. Both are JSON objects with
// the members id, correlationId, userId, to, contentType, contentEncoding, ack, expiry (ms since 1970), properties (an
// object) and body; what is not set is left out.

const { Message } = require('azure-iot-common');

// messageOf makes the SDK's message of such an object. It has no way to give a user id.
function messageOf(given) {
  const message = new Message(given.body);
  message.messageId = given.id;
  message.correlationId = given.correlationId;
  message.contentType = given.contentType;
  message.contentEncoding = given.contentEncoding;
  message.ack = given.ack;
  if (given.expiry) message.expiryTimeUtc = given.expiry; // with a Date the SDK fails
  for (const [name, value] of Object.entries(given.properties || {})) message.properties.add(name, value);
  return message;
}

// bytes undoes what Node makes of a header: it takes the bytes for Latin-1.
const bytes = (text) => Buffer.from(text, 'latin1').toString('utf8');

// millis reads what the transports leave of an expiry: a Date, ISO 8601, or the form of the headers, which is UTC.
function millis(expiry) {
  if (!expiry) return undefined;
  return new Date(typeof expiry === 'string' && expiry.endsWith('M') ? `${expiry} UTC` : expiry).getTime();
}

// shown makes such an object of the message that the SDK gives a device. Over AMQP the user id is in the SDK's own message
// alone; over MQTT the ack is among the properties; over HTTP the properties have the names of their headers.
function shown(message) {
  const http = Boolean(message.lockToken);
  const text = http ? bytes : (value) => value;
  const { user_id: user } = message.transportObj || {};
  const properties = Object.fromEntries(message.properties.propertyList.map(({ key, value }) => [key.replace(/^iothub-app-/, ''), text(value)]));
  const { 'iothub-ack': ack = message.ack, ...own } = properties;
  return {
    id: text(message.messageId), correlationId: text(message.correlationId) || undefined,
    userId: (user ? user.toString() : message.userId) || undefined,
    to: message.to, contentType: message.contentType, contentEncoding: message.contentEncoding, ack,
    expiry: millis(message.expiryTimeUtc), properties: own, body: message.getData().toString(),
  };
}

module.exports = { messageOf, shown };
