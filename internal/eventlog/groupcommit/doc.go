// Package groupcommit is the half of an event log that is the same wherever its events are kept: producers that share
// commits, and readers that wait for events. The other half is an Engine.
//
// # The way of an event
//
// Append has the engine add the event to what gathers of its partition, and returns. One goroutine, the committer, takes
// what has gathered of all partitions: a round. It has the engine commit the round, makes it visible, wakes who waits,
// and tells each producer once how many of its events are durable. While one round is being committed, the next one
// gathers: there is no timer.
//
//	producer    Append   Engine.Add                     locked
//	committer   take     Engine.Take                    locked; the events get their numbers
//	                     Engine.Commit                  not locked: I/O
//	            publish  Engine.Publish                 locked; the events become visible
//	                     done of each producer          not locked
//
// "Locked" means under the engine's mutex, which guards what both halves know of a partition. It is a leaf: no I/O,
// callback of others or channel operation happens under it.
//
// What gathers is bounded in bytes. Above the bound, Append waits until the committer takes a round.
//
// Group commit: DeWitt and others, Implementation Techniques for Main Memory Database Systems, SIGMOD 1984.
package groupcommit
