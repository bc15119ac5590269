// Package crashtest proves that acknowledged means on disk: its tests kill the built binary with SIGKILL at random
// moments, start it again on the same data, and compare.
//
// Telemetry, while devices publish and a reader follows:
//
//	C1: every acknowledged message is there after every restart.
//	C2: a device's messages are in the order in which it sent them. One whose acknowledgement the crash swallowed may
//	    be there twice, for its device sends it again; none is before an older one.
//	C3: the sequence numbers of a partition are dense from 0, and a number that a reader has seen, even a moment
//	    before a crash, stands for the same event ever after.
//	C4: enqueued times never go back inside a partition.
//
// Messages to devices, while back ends send, devices complete, reject, abandon or leave them unsettled, and a reader takes
// the feedback:
//
//	D1: every accepted message ends exactly once: completed, rejected, expired, abandoned too often, or it is in its
//	    queue in the end. One whose acceptance the crash swallowed is there once or not at all, a refused one never.
//	D2: a message does not come back once the hub has confirmed that it is completed or rejected, or has said so in
//	    its feedback.
//	D3: the feedback on a message is what became of it.
//	D4: what is known about a message in a queue survives: how often it was abandoned, that it was delivered, and the
//	    lock of a device that polls.
//	D5: a message has one sequence number, alone, above those of all that were accepted before it was sent.
//	D6: a feedback message comes with the same records until it is completed, and never again once that is confirmed.
//
// Twins, while devices report by MQTT and AMQP, many patches at once, and follow their desired properties, back ends patch, replace
// and read, and a reader follows the hub's own events:
//
//	V1: every acknowledged write is there, with the counter that its answer had, and whole; one whose answer the crash
//	    swallowed is there whole or not at all, a refused one never.
//	V2: counters and versions never go back between answers, and each stands for one write, and for the same documents ever
//	    after, whoever is shown them.
//	V3: the counters are the numbers of writes: the twin's etag, $version of both sections of properties, and their sum.
//	V4: what a device makes of the changes that it is told of are the desired properties of that $version, and it is told of
//	    the newest ones.
//	V5: there is one event for each stored write, in the order of their versions, which tells of all of it and of who made it,
//	    and none without a write.
//
// Backups, made and killed while devices publish:
//
//	B1: one that check finds whole holds, once it is restored, all that was acknowledged before it began: C1 to C4 hold, and
//	    messages to devices wait as they did.
//	B2: one that was killed is whole, or neither check nor restore takes it for a backup.
//
// The tests take minutes, so they are behind the build tag crash; "make crash" runs them. Their ports are free ones. The
// moments come from a seed that a failure prints; HUBWARD_CRASH_SEED repeats them, as far as a machine's timing lets
// it.
package crashtest
