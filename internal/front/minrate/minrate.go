// Package minrate says how long a peer may take for what it has begun to send, or is given to read: some time to begin with,
// and more for every byte that has come or gone. So a large message has its time on a slow line, and a peer that sends a
// byte a second, or reads one, is found out at once: no size that it announces buys it time.
//
// The rule is that of Apache's mod_reqtimeout ("body=20,MinRate=500"); the figures are ours.
package minrate

import "time"

const (
	// Grace is the time to begin with.
	Grace = 30 * time.Second
	// Rate is how many bytes buy a second: less than the slowest lines of devices, such as NB-IoT, carry.
	Rate = 1 << 10
)

// Allowed is how long a peer may take, from the first byte on, until more than n bytes have come or gone.
func Allowed(n int) time.Duration { return Grace + time.Duration(n)*time.Second/Rate }
