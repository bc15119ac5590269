// Package mqttfront is the hub's MQTT 3.1.1 front end: devices connect, send telemetry and get messages.
//
// A connection is one goroutine that reads; a few goroutines write for all of them. The reader never waits for the
// disk: it hands each message to the hub and goes on, bounded by the bytes that are not yet confirmed; the log's
// committer calls back once per shared sync, and the acknowledgements of that sync leave in one write.
//
//	server.go         accepts and drains, by way of connset; watch.go closes what is silent, stuck or expired
//	conn.go           one connection's life: handshake, CONNECT, reading, end
//	packet_reader.go  bytes to packets in buffers that an idle connection does not hold
//	outgoing.go       queued packets and unconfirmed messages of a connection; writers.go writes them
//	connect.go        CONNECT: who is it (username.go), and which return code says what was wrong (errors.go)
//	session.go        the other packets: one method each
//	telemetry.go      topic and property bag to hubward.Message (bag.go)
//	c2d.go            messages to the device, and their acknowledgements; c2d_topic.go writes their topics
//
// Lock order: conn.mu, or devicebound.mu, then outgoing.mu, then writers.mu.
package mqttfront
