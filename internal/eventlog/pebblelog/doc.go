// Package pebblelog is the durable event log of one process: hub.EventLog on Pebble.
//
// # Keys and values
//
// Integers are big endian, so that byte order is number order.
//
//	event         'e' | name | 0x00 | partition uint16 | sequence number uint64
//	  value       enqueued, ms since 1970 uint64 | record version 1 | the encoded event
//	head marker   'm' | 'h' | name | 0x00 | partition uint16
//	  value       marker version 1 | first uint64 | next uint64 | last enqueued ms uint64
//	format        'm' | 'f'    value: format version uint32, now 2
//	probe         'm' | 'p'    value: ms uint64; what Ping writes
//	owner         'm' | 'o'    value: owner version 1 | start uint64 | id of the registry
//	start         'm' | 's'    value: uint64, the first sequence number of partitions that have neither events nor marker
//
//	name          hub name                       for hub.EndpointEvents
//	              hub name | 0x01 | endpoint     for all other endpoints
//
// Neither a hub name nor an endpoint holds 0x00 or 0x01, so the keys of hub "a" and of hub "ab" never mix, nor do those
// of two endpoints. All events of a hub lie from 'e' | hub name | 0x00 up to, and without, 'e' | hub name | 0x02.
//
// The head marker is written together with each deletion of old events: it keeps a partition's sequence numbers and its
// clock when retention has emptied it. Values carry no checksum of their own: Pebble checks every block of a table and
// every record of its write-ahead log.
//
// Format 1 had hub.EndpointEvents only, with the same keys. A folder of format 1 becomes one of format 2 when it is
// opened; programs that know no other format refuse it from then on.
//
// # The way of an event
//
// Producers share commits as groupcommit says. Append copies the event into its partition's gathering chunk; what
// gathers while one round is written is the next one. A round is one batch with one sync. Its chunks stay for a while as
// the tails of their partitions, so that readers that follow the log need no iterator.
//
// In the batch, events are grouped by partition, and Pebble is told to end its tables at partition borders: tables then
// never overlap, and moving data down the tree rewrites nothing.
//
// # When the disk fails
//
// The first write that fails freezes the folder (see guard): nothing is written or deleted from then on, what gathered
// is reported as failed, and so is every later Append and Ping, with the first cause. Readers go on with what is
// committed. Only a restart ends this, because whether the last batch reached the disk is known only then. Open on a disk
// that fails returns the cause as well, however far it has got, and leaves the folder as a crash would have left it.
//
// # Locks
//
// Log.mu, which groupcommit shares, is a leaf: no I/O, callback or channel operation happens under it.
package pebblelog
