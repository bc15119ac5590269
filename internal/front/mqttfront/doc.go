// Package mqttfront is the hub's MQTT 3.1.1 front end: devices and modules connect, send telemetry, keep their twins and answer
// direct methods; devices get messages.
//
// A connection is one goroutine that reads; a few goroutines write for all of them. The reader never waits for the
// disk: it hands each message to the hub and goes on, bounded by the bytes that are not yet confirmed; the log's
// committer calls back once per shared sync, and the acknowledgements of that sync leave in one write.
//
// What a client publishes goes by one table, with a row for each family of topics: which identity may, and what comes of it.
// A feature is a row and a file. It may subscribe to all that is its own; who has something for it asks whether it listens.
// What the hub has for the client, it hands to conn.Deliver.
//
//	server.go         accepts and drains, by way of connset; watch.go closes what is silent, stuck or expired
//	conn.go           one connection's life: handshake, CONNECT, reading, end; Deliver
//	packet_reader.go  bytes to packets in buffers that an idle connection does not hold
//	outgoing.go       queued packets and unconfirmed messages of a connection; writers.go writes them
//	requests.go       other PUBLISHes, and the order of all PUBACKs; answers.go reads what they ask, and writes their answers
//	connect.go        CONNECT: who is it (username.go), by token or certificate, and which return code says what was wrong
//	session.go        the other packets, and the end
//	subscriptions.go  what a session is subscribed to; filters.go says what a filter covers, and who may subscribe to it
//	topics.go         the table of topics, and PUBLISH by it
//	telemetry.go      topic and property bag to hubward.Message (bag.go); the will
//	c2d.go            messages to the device, and their acknowledgements; c2d_topic.go writes their topics
//	twin.go           twins: requests, and changes of desired properties
//	methods.go        calls of direct methods, and their answers
//	credentials.go    certificates for devices that the hub issues
//
// Lock order: conn.mu, or devicebound.mu, or session.mu, then outgoing.mu, then writers.mu.
package mqttfront
