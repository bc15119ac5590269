// Package interop proves the hub with strangers: its tests run the official Node, Python, Java and Go SDKs, unmodified, and
// the hubward command against the built binary on the real ports (8883, 5671 and 443: the SDKs cannot be told others).
//
// It is the root of a module of its own, which pins these clients: in node/package.json and its lock file, in
// python/requirements.txt, in java/pom.xml, and in go.mod. The packages below it are what else needs one in Go.
//
// The tests need Node, Python, a JDK and what "make interop" installs below .work/, so they are behind the build tag interop.
// They never skip: a missing tool or a busy port fails with what to install or to free.
//
// The client programs are in node/, python/ and java/, with the same name where they do the same: one journey each, which
// checks its own side and prints what the Go test waits for. The Go test prepares identities, reads telemetry back and
// looks at what the hub stamped on it. Those of messages to devices (c2d_*) are driven by the test: it tells the back ends what
// to send, and each message tells its device what to do with it. Those of twins and direct methods (driven_*) do nothing but
// what the test tells them.
package interop
