// Package sqlstore is the hub's SQL store: hubs, the identity registry, stored MQTT sessions, and queues of messages to
// devices with their feedback. It implements hub.Store on SQLite, in a file or in memory; what another engine would do
// differently is a dialect.
//
// The one thing to know is how it writes. All writes go to one goroutine, which takes what has gathered in its queue,
// runs each job in a savepoint of one transaction, commits once and then releases all callers: many durable writes
// share one sync, and none waits for a timer. A job that fails is rolled back alone. Reads use connections of their
// own and see what was committed, so a caller reads its own writes.
//
//	EditDevices ─┐
//	SaveHub ─────┼─▶ queue ─▶ writer: BEGIN, (SAVEPOINT, job, RELEASE)…, COMMIT ─▶ callers
//	Ping ────────┘
//
// Every table begins with the hub; its schema is in migrations/, one folder per dialect.
package sqlstore
