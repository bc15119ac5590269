// Package amqpfront serves the hub's AMQP surfaces: log-in, the links of devices and of back ends, and the
// Event-Hubs-compatible endpoint. It translates between the engine (amqpengine), which knows no hub, and the hub, which
// knows no wire.
//
// # The way of a link
//
// A peer logs in by SASL, by its TLS certificate, or by putting tokens to the node $cbs. Each gives the connection a
// principal. When the peer attaches a link, the table in address.go says what the link requires and who serves it; a link
// rests on one of the connection's principals, and ends when it does, unless another meets what the link requires. A
// feature is a row of that table and a file.
//
// The endpoint and the hub share host and port. Addresses under messages/events belong to the hub and are answered with
// a redirect to the event hub of the hub's own name; addresses under that name are served.
//
// A device or module is connected from its first link to its last, however many share the connection: see presence.
//
// # Who runs what
//
// The engine calls a connection's methods one at a time, from its reader goroutine; what those leave for others to see is
// guarded by conn.mu. Each reader link, and each link for feedback, has the goroutine that the engine gives it. The log's
// committer settles telemetry, the hub's workers hand messages to devices, its goroutines call methods and answer what devices
// ask of their twins: none of them waits for anything. What a back end's link waits for runs in the connection's keyedWorkers,
// and so does what begins and ends to follow desired properties. One timer per connection looks after the principals that end.
package amqpfront
