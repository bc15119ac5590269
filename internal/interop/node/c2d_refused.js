'use strict';
// Back ends over TRANSPORT (amqp or amqp-ws) that must be refused, one for each case; prints "refused CASE ERROR".
//   CASES: a JSON object from case to connection string; DEVICE
const { need, refusal, journey } = require('./lib');
const { Client, AmqpWs } = require('azure-iothub');
const { Message, NoRetry } = require('azure-iot-common');

async function use(connectionString) {
  const client = Client.fromConnectionString(connectionString, process.env.TRANSPORT === 'amqp-ws' ? AmqpWs : undefined);
  client.setRetryPolicy(new NoRetry());
  await client.open();
  await client.send(need('DEVICE'), new Message('from a stranger'));
}

journey(async () => {
  for (const [name, connectionString] of Object.entries(JSON.parse(need('CASES')))) {
    const error = await refusal(use(connectionString), name);
    const { name: kind } = error.name === 'Error' && error.amqpError ? error.amqpError : error; // the SDK wraps a refused log-in
    console.log(`refused ${name} ${kind}`);
  }
});
