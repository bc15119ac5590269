// Reads events of the Event-Hubs-compatible endpoint with rhea as fast as it goes: see main.go, whose flags and output
// these are. Logs in with the policy's name and key, as the oldest Event Hubs library does.
//
//   node rhea.js PORT POLICY KEY ENTITY PARTITIONS PID FROM COUNT SECONDS [tls]
'use strict';

const fs = require('fs');
const rhea = require('rhea');

const [port, policy, key, entity, partitions, pid, from, count, seconds, tls] = process.argv.slice(2);

// The server's CPU time in microseconds.
function cpu() {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10000;
}

const options = { host: 'localhost', port: Number(port), username: policy, password: key, reconnect: false };
if (tls) {
  options.transport = 'tls';
}
const before = cpu();
const start = process.hrtime.bigint();
let events = 0;

function end() {
  const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(`${events} ${elapsed.toFixed(2)} ${((cpu() - before) / events).toFixed(3)}`);
  process.exit(events > 0 ? 0 : 1);
}

const connection = rhea.connect(options);
const position = from === 'latest' ? '@latest' : '-1';
for (let i = 0; i < Number(partitions); i++) {
  connection.open_receiver({
    source: {
      address: `${entity}/ConsumerGroups/$Default/Partitions/${i}`,
      filter: { 'apache.org:selector-filter:string': rhea.types.wrap_described(`amqp.annotation.x-opt-offset > '${position}'`, 0x468C00000004) },
    },
  });
}
connection.on('message', () => {
  events++;
  if (events === Number(count)) {
    end();
  }
});
connection.on('receiver_error', (context) => { console.error(String(context.receiver.error)); process.exit(1); });
connection.on('connection_error', (context) => { console.error(String(context.connection.error)); process.exit(1); });
connection.on('disconnected', () => { console.error('disconnected'); process.exit(1); });
setTimeout(end, Number(seconds) * 1000);
