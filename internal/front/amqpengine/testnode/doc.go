// Package testnode is an AMQP node for tests of the engine and of clients: amqpengine with bounded queues in memory.
//
// The address of a link says what it does:
//
//	queue/NAME        a queue of 10,000 messages: what is sent to it is received from it, by whoever comes first. When it
//	                  is full, deliveries are rejected with amqp:resource-limit-exceeded. Messages that a receiver
//	                  releases, modifies or leaves unsettled come again
//	echo              what is sent comes back on the connection's youngest link that receives from it
//	reject            deliveries are rejected with amqp:not-allowed
//	slow              deliveries are accepted one after another, 2 ms apart, from another goroutine
//	never-credit      there is credit for one delivery, which is never settled
//	refuse/CONDITION  the link is refused with CONDITION
//	break/CONDITION   the link is accepted and then detached with CONDITION
//	panic             the node panics
//
// Any other address is refused with amqp:not-found. Logins are ANONYMOUS, none at all, and PLAIN as "user" with "secret".
package testnode
