// Package replaytest replays what real AMQP clients once said to a hub, and compares what the hub answers today with what
// it answered then. It needs no client and no network but the loopback interface.
//
// A transcript is a file of JSON lines: what was recorded and when, then each frame of each connection in the order in
// which it passed. The client's frames are there as bytes, and as text for people; the hub's as text only, in which what
// is different each time is masked. The fixture is the same when a transcript is recorded and replayed: a hub with
// fixed keys, six fixed events, and a device for which a message waits. Its clock stands still at the moment of the
// recording, so that the tokens that were signed then are valid.
//
// A replay sends a frame of the client's once the hub has said what it said before that frame in the recording. What is
// compared is what the hub says on each link, and what it says of a session and of the connection beside that, each in
// its order. How links share the session's window, and how many dispositions share a frame, is the hub's own business.
//
// "make transcripts" records anew, with what "make interop" installs, a program of its module, and clients that are built
// by hand where the environment names them: it is behind the build tag record and no part of CI.
// "go test ./internal/replaytest -update" keeps the clients' frames and rewrites the hub's, after a change that means to
// change them.
package replaytest
