// Package amqpengine is the server side of AMQP 1.0: frames, log-in, sessions, links, credit, settlement and idle
// time-outs. It knows nothing of a hub; any program could use it. A program implements Handler and Peer, which decide
// who may connect and what an address means, and gets a Receiver for each link on which its peer sends, and a Sender
// for each on which its peer receives.
//
// # What runs where
//
// A connection has one reader goroutine. It decodes frames, changes the connection's state and calls the Peer; a call
// that blocks holds up this connection and no other. What is to be sent gathers in the connection's outbox, and a
// goroutine that lives only while there is something to write writes it: many frames leave in one write. A Sender that
// has a Run function has a goroutine of its own; it waits for credit, for the session's window and for room in the
// outbox. One goroutine of the server looks at the idle time-outs of all connections.
//
// # What bounds memory
//
// A frame is at most Options.MaxFrameSize; parts of deliveries are bounded per delivery (ReceiverOptions.MaxMessageSize)
// and per connection (Options.MaxPartialBytes); sessions and links are counted; the outbox holds what the links that
// Run may put there up to a mark, and answers up to a second one, above which the reader stops reading until the peer
// has read; unsettled outgoing deliveries are counted per session.
package amqpengine
