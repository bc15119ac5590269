// Package sqlstore is the hub's SQL store: hubs, the identity registry with its twins and connections, what sessions leave
// behind, queues of messages with their feedback, and events that the hub has to tell. It implements hub.Store on SQLite, in a
// file or in memory; what another engine would do differently is a dialect.
//
// The one thing to know is how it writes. All writes go to one goroutine, which takes what has gathered in its queue,
// runs each job in a savepoint of one transaction, commits once and then has all callers told, by another goroutine: many durable
// writes share one sync, and none waits for a timer. A job that fails is rolled back alone. Reads use connections of their
// own and see what was committed, so a caller reads its own writes. What jobs have to tell is stored at the end of the
// transaction, as one row for each hub. A job of one statement does without a savepoint where a statement fails alone. Statements
// that return no rows go to the driver directly, queries through database/sql.
//
//	EditIdentities ─┐
//	EditReported ───┼─▶ queue ─▶ writer: BEGIN, (SAVEPOINT, job, RELEASE)…, events, COMMIT ─▶ callers
//	SaveHub ────────┘
//
// Others may write to the same database. With SQLite a transaction has the whole file, and the next one waits for its end.
// For an engine of several writers, whatever is read to be written back is locked first, identity by identity and, where
// the hub as a whole is concerned, the hub's row; two groups that lock the same rows in another order are a conflict, and
// the one that the engine ends runs again. That is why a function given to an edit may run more than once.
//
// Every table begins with the hub; its schema is in migrations/, one folder per dialect. Fences are uint64 in Go and
// INTEGER in SQL. They stay below 2^63, and Go's conversions see to it: they refuse a larger argument, and a negative result,
// so that no fence is ever taken for another one.
package sqlstore
