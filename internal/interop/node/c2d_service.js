'use strict';
// A back end over TRANSPORT (amqp or amqp-ws). Each line of its standard input is {"n", "device", "message"}; it prints
// "sent N", or "refused N ERROR". With FEEDBACK=1 it also hears of the outcomes and prints "feedback [...]" for each
// feedback message, which it completes. Prints "ready" once all is open, and ends with its standard input.
//   HUB_CONNECTION_STRING
const { need, check, eachCommand, journey } = require('./lib');
const { messageOf } = require('./c2d');
const { Client, AmqpWs } = require('azure-iothub');
const { NoRetry } = require('azure-iot-common');

// unwrap takes what a call gives from what its promise resolves to.
const unwrap = (answer) => (answer && answer.result ? answer.result : answer);

async function hearOutcomes(client) {
  const feedback = unwrap(await client.getFeedbackReceiver());
  feedback.on('message', (batch) => {
    console.log(`feedback ${batch.getData()}`);
    feedback.complete(batch).catch((e) => console.log(`error ${e.name}`));
  });
  const files = unwrap(await client.getFileNotificationReceiver());
  files.on('message', () => console.log('error a file notification came'));
}

async function send(client, { n, device, message }) {
  try {
    const result = unwrap(await client.send(device, messageOf(message)));
    console.log(result.constructor.name === 'MessageEnqueued' ? `sent ${n}` : `refused ${n} ${result.constructor.name}`);
  } catch (e) {
    console.log(`refused ${n} ${e.name}`);
  }
}

journey(async () => {
  const client = Client.fromConnectionString(need('HUB_CONNECTION_STRING'), process.env.TRANSPORT === 'amqp-ws' ? AmqpWs : undefined);
  client.setRetryPolicy(new NoRetry());
  await client.open();
  if (process.env.FEEDBACK === '1') await hearOutcomes(client);
  console.log('ready');
  await eachCommand((command) => send(client, command));
  await client.close();
  check(true, 'the client is closed');
});
