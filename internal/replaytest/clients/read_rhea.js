'use strict';
// Reads the recorder's event hub with rhea: one connection, SASL PLAIN, a session, a receiver for each partition.
// It prints "ready" and "event", and ends when its standard input does. POLICY, KEY, HUB; port 5671 of localhost.
const rhea = require('rhea');

const connection = rhea.connect({
  host: 'localhost', port: 5671, transport: 'tls', username: process.env.POLICY, password: process.env.KEY,
  container_id: 'recorder', reconnect: false, idle_time_out: 60000,
});
const selector = 'apache.org:selector-filter:string';
let open = 0;
for (let partition = 0; partition < 4; partition += 1) {
  connection.open_receiver({
    name: `partition-${partition}`,
    source: {
      address: `${process.env.HUB}/ConsumerGroups/$Default/Partitions/${partition}`,
      filter: { [selector]: rhea.types.wrap_described("amqp.annotation.x-opt-sequence-number > '-1'", rhea.types.wrap_symbol(selector)) },
    },
    credit_window: 10, rcv_settle_mode: 0,
  });
}
connection.on('receiver_open', () => { open += 1; if (open === 4) console.log('ready'); });
connection.on('message', () => console.log('event'));
connection.on('receiver_error', ({ receiver }) => console.log(`error ${receiver.error}`));
connection.on('connection_close', () => process.exit(0));
connection.on('disconnected', () => process.exit(1));
process.stdin.resume();
process.stdin.on('end', () => connection.close());
