// Package soaktest loads a hub for a while over connections that keep breaking, and compares what went in with what came
// out. Fifty devices send numbered messages with the public device SDK, and fifty readers read them, on the vendor's
// Event Hubs SDK for Go and on its bare AMQP library; each is cut at random moments, also in the middle of a write or
// of a frame, and now and then leaves in good order. Senders send again what was not acknowledged, readers go on
// after the last event that they have seen.
//
//	S1: every acknowledged message reaches every reader of its partition.
//	S2: what a reader sees of a partition is dense from 0 over all its connections: no gap, no step back, no event twice.
//	S3: a sequence number stands for the same event for every reader.
//	S4: a device's messages are in the order in which it sent them. One whose acknowledgement was lost may be there twice,
//	    for its device sends it again; none is before an older one.
//	S5: nothing is left afterwards: no reader or connection at the hub, and no goroutine, file descriptor or memory of
//	    the process, which is that of hub and clients alike.
//	S6: no client is refused for a reason that this load does not give.
//
// The test runs for about a minute, so it is behind the build tag soak; "make soak" runs it, for SOAKTIME. Its choices
// come from a seed that it prints; HUBWARD_SOAK_SEED repeats them, as far as a machine's timing lets it.
package soaktest
