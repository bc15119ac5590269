// Package c2d keeps the queues of cloud-to-device messages and hands their messages to connected identities. What may
// happen to a message is the rule of package c2dqueue; this package runs these rules in the store, each change in one
// transaction, and decides when to run which.
//
// A change is one edit of one stored queue (change.go): Send, Take, Settle and Purge are such changes. A Receiver is a
// connected identity that wants its messages (receiver.go). Receivers share a few workers (worker.go): whatever there is to
// do in a queue, outcomes to store and messages to lock, a worker does in one run, and hands out what it locked. In memory
// a queue with a receiver is in one of three states:
//
//	idle ──schedule──▶ ready ──a worker takes it──▶ running ──▶ idle, or ready when there is news
//
// One worker at a time runs a queue, so a receiver's messages come in order. Any number of processes may do this on one
// store: a receiver carries the fence of the claim by which its identity is connected, the store's rows carry the newest
// receiver that locked messages, and one that was deposed locks none.
//
// Locks and messages end by themselves (timer.go, sweep.go): Sweep is one process's job at a time, and harmless when two do
// it, because a change looks at the clock and the stored queue anew.
package c2d
