// Package hub holds the rules of the IoT hub, one file per verb: connect, ingest, events, registry, policies, hubs.
// Front ends translate a wire into calls of this package; stores and logs implement the interfaces of ports.go. The
// package knows no protocol, no SQL and no disk format.
//
// Telemetry takes this path: a front end connects a device (connect.go) and gets a Link; Link.Ingest opens the way
// for its messages (ingest.go), which are encoded once (package eventcodec) and appended to the partition of the
// device; ReadEvents (events.go) is the way out.
//
// Messages to devices are edits of a stored queue by the rules of package c2dqueue (c2d.go, c2d_change.go); connected
// devices get them from the workers of c2d_pump.go; c2d_sweep.go keeps the time, and feedback.go reports what became of
// them.
//
// Lock order: Hub.editing, Hub.mu, c2dPumps.mu, a sessions shard. Edits of queues take c2dPumps.mu inside the
// store's transaction. No lock is held across a call of a port, with one exception:
// Hub.editing, which serialises changes of hub configurations, is held while store and log are changed, so that disk and
// memory agree. Nothing that a device or a reader does takes it.
package hub
