// Package crashtest proves that acknowledged means on disk: its test kills the built binary with SIGKILL at random
// moments while devices publish and a reader follows, starts it again on the same data, and compares.
//
//	C1: every acknowledged message is there after every restart.
//	C2: a device's messages are in the order in which it sent them. One whose acknowledgement the crash swallowed may
//	    be there twice, for its device sends it again; none is before an older one.
//	C3: the sequence numbers of a partition are dense from 0, and a number that a reader has seen, even a moment
//	    before a crash, stands for the same event ever after.
//	C4: enqueued times never go back inside a partition.
//
// The test takes minutes, so it is behind the build tag crash; "make crash" runs it. Its ports are free ones. The
// moments come from a seed that a failure prints; HUBWARD_CRASH_SEED repeats them, as far as a machine's timing lets
// it.
package crashtest
