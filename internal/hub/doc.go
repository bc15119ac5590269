// Package hub holds the rules of the IoT hub, one file per verb: connect, ingest, events, c2d, registry, policies, hubs.
// Front ends translate a wire into calls of this package; stores, logs and clusters implement the interfaces of ports.go
// and cluster.go. The package knows no protocol, no SQL and no disk format.
//
// A peer is let in by Authenticate (authenticate.go), which gives it a Principal; every verb takes one and looks for itself
// at what it may do (permit.go).
//
// A device's connection is a Link (links.go): Connect claims it in the cluster's directory (connect.go), and whatever the
// hub has for the device goes through its Session (session.go, deliver.go), from any node. Connects and disconnects are
// stored in order (connections.go), and told as the hub's own events (hub_events.go).
//
// Telemetry takes this path: Link.Ingest opens the way for messages (ingest.go), which are checked (message_rules.go),
// encoded once (package eventcodec) and appended to the partition of the device; readers are the way out (readers.go,
// events.go). Messages to devices are edits of a stored queue (package c2d); what becomes of them is told as notifications
// (feedback.go, notifications.go).
//
// Twins are edits of stored documents (twin.go, twin_change.go, package twindoc). What a device asks of its own is carried out link by
// link (device_twin.go, twin_requests.go); of changes of its desired properties it is told from what the store remembers
// (desired.go).
//
// Nodes that share a store and a log are told apart by name. node.go lists what they tell each other, jobs.go what one of
// them does for all.
//
// Lock order: Hub.editing, Hub.mu. All others are leaves: those of links, linkTwin, untold, connectionRecorder (after its storing),
// ownedPartitions, readers, registrations, feedbackCount, notificationWaiters and tasks. No lock is held across a call of a
// port or of a Session, with two exceptions: Hub.editing, which serialises changes and loads of configurations in this
// process, is held while the store is asked or changed, and connectionRecorder.storing while connections are stored. Nothing
// that a device or a reader does takes the first.
package hub
