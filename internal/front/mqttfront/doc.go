// Package mqttfront is the hub's MQTT 3.1.1 front end: devices connect, send telemetry and subscribe.
//
// A connection is one goroutine that reads, and one that writes while there is something to write. The reader never
// waits for the disk: it hands each message to the hub and goes on, bounded by the bytes that are not yet confirmed;
// the log's committer calls back once per shared sync, and the acknowledgements of that sync leave in one write.
//
//	server.go         accepts, counts, drains; watch.go closes what is silent, stuck or expired
//	conn.go           one connection's life: handshake, CONNECT, reading, end
//	packet_reader.go  bytes to packets in buffers that an idle connection does not hold
//	outgoing.go       queued packets and unconfirmed messages; the writer
//	connect.go        CONNECT: who is it (username.go), and which return code says what was wrong (errors.go)
//	session.go        the other packets: one method each
//	telemetry.go      topic and property bag to hubward.Message (bag.go)
//
// Lock order: conn.mu, then outgoing.mu. Server.mu is a leaf.
package mqttfront
