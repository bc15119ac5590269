// Package hub holds the rules of the IoT hub, one file per verb: connect, ingest, events, registry, policies, hubs.
// Front ends translate a wire into calls of this package; stores and logs implement the interfaces of ports.go. The
// package knows no protocol, no SQL and no disk format.
//
// Telemetry takes this path: a front end connects a device (connect.go) and gets a Link; Link.Ingest opens the way
// for its messages (ingest.go), which are encoded once (package eventcodec) and appended to the partition of the
// device; ReadEvents (events.go) is the way out.
//
// Lock order: Hub.editing, Hub.mu, a sessions shard. No lock is held across a call of a port, with one exception:
// Hub.editing, which serialises changes of hub configurations, is held while store and log are changed, so that disk and
// memory agree. Nothing that a device or a reader does takes it.
package hub
