'use strict';
// A peer on rhea, which shares no code with the engine: one journey, by name, against a node of our engine.
//   NODE: host:port   FRAME_SIZE: for large, the frame size this side announces
const crypto = require('node:crypto');
const { once } = require('node:events');
const rhea = require('rhea');
const { need, check, refusal, journey } = require('./lib');

const container = rhea.create_container();

// connect resolves with an open connection. An error or an end before that, or later with nobody waiting, rejects.
async function connect(options = {}) {
  const at = need('NODE').lastIndexOf(':');
  const connection = container.connect({
    host: need('NODE').slice(0, at), port: Number(need('NODE').slice(at + 1)),
    username: 'anonymous', reconnect: false, ...options,
  });
  await event(connection, 'connection_open', ['connection_error', 'disconnected']);
  return connection;
}

// event resolves with the context of the first `name` of an emitter, and rejects with that of the first of `bad`.
async function event(emitter, name, bad = []) {
  const ended = new AbortController();
  const wait = (n) => once(emitter, n, { signal: ended.signal }).then(([context]) => ({ n, context }));
  try {
    const { n, context } = await Promise.race([name, ...bad].map(wait));
    if (n === name) return context;
    const link = context.sender || context.receiver;
    const error = (link && link.error) || context.connection.error || context.error || {};
    throw Object.assign(new Error(`${n}: ${error.condition} ${error.description || error.message}`), { condition: error.condition });
  } finally {
    ended.abort();
  }
}

const queue = () => `queue/rhea-${crypto.randomUUID()}`;

// opened resolves with a link that is open, or rejects: a link that the node refuses is opened without a terminus first,
// and closed after that, perhaps at once.
async function opened(link, kind) {
  link.on(`${kind}_error`, () => {}); // rhea throws an error that nobody listens for
  await event(link, `${kind}_open`);
  const terminus = kind === 'sender' ? link.target : link.source;
  if (terminus && terminus.address) return link;
  if (!link.error) await event(link, 'nothing', [`${kind}_error`]);
  throw linkError(link);
}

function linkError({ error }) {
  return Object.assign(new Error(error.description), { condition: error.condition });
}

function openSender(on, address, options = {}) {
  return opened(on.open_sender({ target: address, ...options }), 'sender');
}

// openReceiver opens a receiver that grants no credit and accepts nothing by itself. take waits for what it gets.
function openReceiver(on, address, options = {}) {
  const receiver = on.open_receiver({ source: address, credit_window: 0, autoaccept: false, ...options });
  receiver.got = [];
  receiver.on('message', (context) => receiver.got.push(context));
  return opened(receiver, 'receiver');
}

async function take(receiver, count) {
  while (receiver.got.length < count) await event(receiver, 'message', ['receiver_error']);
  return receiver.got.splice(0, count);
}

const bodies = (taken) => taken.map(({ message }) => message.body);
const accept = (taken) => taken.forEach(({ delivery }) => delivery.accept());

// send sends one message and resolves with its outcome's name and context.
async function send(sender, body) {
  while (!sender.sendable()) await event(sender, 'sendable', ['sender_error']);
  const delivery = sender.send({ body });
  return outcomeOf(sender, delivery);
}

async function outcomeOf(sender, delivery) {
  const names = ['accepted', 'rejected', 'released', 'modified'];
  return new Promise((resolve, reject) => {
    for (const name of names) {
      sender.on(name, (context) => { if (context.delivery === delivery) resolve({ name, context }); });
    }
    sender.once('sender_error', () => reject(linkError(sender)));
  });
}

async function sendAll(connection, address, ...all) {
  const sender = await openSender(connection, address);
  for (const body of all) {
    const { name } = await send(sender, body);
    if (name !== 'accepted') throw new Error(`${address}: ${name}`);
  }
  sender.close();
}

// works sends a message to and fro. What the node had to send before has arrived when it has.
async function works(connection) {
  const address = queue();
  await sendAll(connection, address, 'to and fro');
  const receiver = await openReceiver(connection, address);
  receiver.add_credit(1);
  const taken = await take(receiver, 1);
  accept(taken);
  receiver.close();
  await event(receiver, 'receiver_close');
  return bodies(taken)[0] === 'to and fro';
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const numbers = (n) => [...Array(n).keys()];

const journeys = {
  // Credit by hand, and draining it.
  async credit() {
    const connection = await connect();
    const address = queue();
    await sendAll(connection, address, ...numbers(10));
    const receiver = await openReceiver(connection, address);
    await works(connection);
    check(receiver.got.length === 0, 'no credit, no message');

    receiver.add_credit(3);
    let taken = await take(receiver, 3);
    await works(connection);
    check(same(bodies(taken), [0, 1, 2]) && receiver.got.length === 0, 'three credits, three messages');

    const drained = event(receiver, 'receiver_drained');
    receiver.add_credit(20);
    receiver.drain_credit();
    await drained;
    taken = taken.concat(await take(receiver, receiver.got.length));
    check(same(bodies(taken), numbers(10)), 'a drain brings what is there');
    check(receiver.credit === 0, 'and takes the rest of the credit back');

    receiver.drain = false;
    receiver.add_credit(2);
    await sendAll(connection, address, 10);
    taken = taken.concat(await take(receiver, 1));
    check(receiver.credit === 1, 'the link goes on after a drain');
    accept(taken);

    const sender = await openSender(connection, 'never-credit');
    if (!sender.sendable()) await event(sender, 'sendable');
    sender.send({ body: 'the only one' });
    await works(connection);
    check(!sender.sendable(), 'a sender gets no credit for what is not settled');
    connection.close();
    await event(connection, 'connection_close');
  },

  // Messages of up to 1 MiB, all told, in small frames.
  async large() {
    const connection = await connect({ max_frame_size: Number(need('FRAME_SIZE')) });
    const address = queue();
    const sender = await openSender(connection, address);
    const receiver = await openReceiver(connection, address);
    for (const size of [0, 1, 500, 4000, 4096, 70000, (1 << 20) - 100]) {
      const body = Buffer.from(Uint8Array.from({ length: size }, (_, n) => n * 31 % 251));
      receiver.add_credit(1);
      await send(sender, rhea.message.data_section(body));
      const taken = await take(receiver, 1);
      accept(taken);
      check(body.equals(taken[0].message.body.content), `${size} bytes came back`);
    }
    connection.close();
  },

  // Two hundred links in twenty sessions of one connection.
  async many() {
    const connection = await connect();
    const sessions = numbers(20).map(() => connection.create_session());
    sessions.forEach((session) => session.begin());
    const pairs = await Promise.all(numbers(100).map((n) => {
      const [session, address] = [sessions[n % 20], queue()];
      return Promise.all([openSender(session, address), openReceiver(session, address)]);
    }));
    await Promise.all(pairs.map(async ([sender, receiver], n) => {
      receiver.add_credit(1);
      await send(sender, `message ${n}`);
      const taken = await take(receiver, 1);
      accept(taken);
      if (bodies(taken)[0] !== `message ${n}`) throw new Error(`link ${n} got ${bodies(taken)[0]}`);
    }));
    check(true, `${2 * pairs.length} links in 20 sessions carry messages`);
    await Promise.all(pairs.flat().map((link) => {
      link.close();
      return event(link, link.is_sender() ? 'sender_close' : 'receiver_close');
    }));
    check(await works(connection), 'the connection works when they are closed');
    connection.close();
  },

  // Links that the node refuses, or ends later.
  async refusals() {
    const connection = await connect();
    for (const condition of ['amqp:not-found', 'amqp:unauthorized-access', 'com.example:of-our-own']) {
      for (const [kind, open] of [['sender', openSender], ['receiver', openReceiver]]) {
        const error = await refusal(open(connection, `refuse/${condition}`), `a ${kind}`);
        check(error.condition === condition, `a ${kind} is refused with ${condition}`);
      }
    }
    for (const [kind, open] of [['sender', openSender], ['receiver', openReceiver]]) {
      const link = await open(connection, 'break/amqp:resource-deleted');
      if (!link.error) await event(link, `${kind}_close`);
      check(link.error.condition === 'amqp:resource-deleted', `a ${kind} is detached with its condition`);
    }
    check(await works(connection), 'the connection works after that');

    const sender = await openSender(connection, queue());
    const limit = Number(sender.max_message_size);
    check(limit > 0, 'the node says how large a message may be');
    const error = await refusal(send(sender, rhea.message.data_section(Buffer.alloc(limit + 1))), 'a larger message');
    check(error.condition === 'amqp:link:message-size-exceeded', 'a message that is too large ends its link');
    check(await works(connection), 'and nothing else');
    connection.close();
  },

  // Every outcome, in both directions.
  async outcomes() {
    const connection = await connect();
    const sender = await openSender(connection, 'reject');
    const { name, context } = await send(sender, 'no');
    check(name === 'rejected', "the peer's message is rejected");
    const state = context.delivery.remote_state;
    check(/^amqp:/.test(state.error && state.error.condition), `with an error: ${state.error.condition}`);

    const address = queue();
    await sendAll(connection, address, 'released', 'modified', 'rejected', 'accepted');
    const receiver = await openReceiver(connection, address);
    receiver.add_credit(4);
    const [released, modified, rejected, accepted] = await take(receiver, 4);
    released.delivery.release();
    modified.delivery.modified({ delivery_failed: true });
    rejected.delivery.reject({ condition: 'amqp:decode-error', description: 'not ours' });
    accepted.delivery.accept();
    receiver.add_credit(4);
    const again = await take(receiver, 2);
    await works(connection);
    check(same(bodies(again).sort(), ['modified', 'released']) && receiver.got.length === 0,
      'what was released or modified comes again, the rest does not');
    accept(again);
    connection.close();
  },

  // The three settlement modes.
  async modes() {
    const connection = await connect();
    let address = queue();
    let sender = await openSender(connection, address, { snd_settle_mode: 1 });
    for (const n of numbers(5)) {
      while (!sender.sendable()) await event(sender, 'sendable');
      sender.send({ body: n });
    }
    let receiver = await openReceiver(connection, address, { snd_settle_mode: 1 });
    receiver.add_credit(10);
    let taken = await take(receiver, 5);
    check(same(bodies(taken), numbers(5)), 'at most once: all are there');
    check(taken.every(({ delivery }) => delivery.remote_settled), 'and arrive settled');

    address = queue();
    sender = await openSender(connection, address, { snd_settle_mode: 0 });
    check((await send(sender, 'acknowledged')).name === 'accepted', 'at least once: the node accepts');
    receiver = await openReceiver(connection, address, { snd_settle_mode: 0 });
    receiver.add_credit(10);
    taken = await take(receiver, 1);
    check(!taken[0].delivery.remote_settled, 'and leaves it to us to settle');
    receiver.close();
    await event(receiver, 'receiver_close');
    receiver = await openReceiver(connection, address, { snd_settle_mode: 0 });
    receiver.add_credit(10);
    taken = await take(receiver, 1);
    check(bodies(taken)[0] === 'acknowledged', 'what we did not settle comes again');
    accept(taken);

    address = queue();
    sender = await openSender(connection, address, { snd_settle_mode: 0, rcv_settle_mode: 1 });
    check((await send(sender, 'only once')).name === 'accepted', 'exactly once: the node accepts');
    receiver = await openReceiver(connection, address, { snd_settle_mode: 0, rcv_settle_mode: 1 });
    receiver.add_credit(10);
    taken = await take(receiver, 1);
    check(bodies(taken)[0] === 'only once' && !taken[0].delivery.remote_settled, 'it comes unsettled');
    const settled = event(receiver, 'settled');
    accept(taken);
    await settled;
    await works(connection);
    check(receiver.got.length === 0, 'the node settles what we have accepted, and it does not come again');
    connection.close();
  },

  // Stay connected with nothing to say. rhea announces what it is told.
  async idle() {
    const connection = await connect({ idle_time_out: 1000 });
    const ended = event(connection, 'disconnected');
    const quiet = new Promise((resolve) => { setTimeout(resolve, 1000 * Number(need('IDLE_SECONDS')), 'quiet'); });
    check(await Promise.race([ended, quiet]) === 'quiet', `${need('IDLE_SECONDS')} s of silence end nothing`);
    check(await works(connection), 'the connection is alive');
    connection.close();
  },

  // Log in with each mechanism there is without TLS, and without any.
  async logins() {
    const [username, password] = [need('NODE_USER'), need('NODE_PASSWORD')];
    const cases = { ANONYMOUS: {}, PLAIN: { username, password }, 'no SASL': { username: undefined } };
    for (const [name, options] of Object.entries(cases)) {
      const connection = await connect(options);
      check(await works(connection), `${name} works`);
      connection.close();
    }
    const error = await refusal(connect({ username, password: 'not it' }), 'a wrong password');
    check(/unauthorized-access|Failed to authenticate/.test(error.message), `a wrong password is refused: ${error.message}`);
  },
};

journey(journeys[process.argv[2]]);
