// Package sdktest reads with the official Event Hubs SDK for Go from a hub inside the test. The interop suite does more
// with it, against the built program; here nothing is installed and no port is fixed, so these are plain tests, and the
// race detector looks at the hub while the SDK talks to it.
package sdktest
