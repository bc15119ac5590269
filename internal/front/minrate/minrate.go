// Package minrate says how long a peer may take for what it has begun to send, or is given to read: some time to begin with,
// and more for every byte that has come or gone. So a large message has its time on a slow line, and a peer that sends a
// byte a second, or reads one, is found out at once: no size that it announces buys it time.
//
// The rule is that of Apache's mod_reqtimeout ("body=20,MinRate=500"); the figures are ours.
package minrate

import (
	"sync/atomic"
	"time"
)

const (
	// Grace is the time to begin with.
	Grace = 30 * time.Second
	// Rate is how many bytes buy a second: less than the slowest lines of devices, such as NB-IoT, carry.
	Rate = 1 << 10
)

// Allowed is how long a peer may take, from the first byte on, until more than n bytes have come or gone.
func Allowed(n int) time.Duration { return Grace + time.Duration(n)*time.Second/Rate }

// Arrival is what a reader waits for, a packet or a frame, as somebody sees it who watches over the reader. The zero value
// is that nothing has begun to come. Times are milliseconds since 1970.
type Arrival struct {
	since atomic.Int64 // the reader began to wait for the rest; 0: nothing has begun
	bytes atomic.Int64 // that are there
}

// Await is called by the reader before it reads, with the bytes that are there of what has begun; 0: nothing has.
func (a *Arrival) Await(begun int, ms int64) {
	a.bytes.Store(int64(begun))
	switch {
	case begun == 0:
		a.since.Store(0)
	case a.since.Load() == 0:
		a.since.Store(ms)
	}
}

// Late reports whether what has begun to come ought to be there, to somebody who looks once in an interval.
func (a *Arrival) Late(ms int64, interval time.Duration) bool {
	since := a.since.Load()
	return since != 0 && ms-since > (Allowed(int(a.bytes.Load()))+interval).Milliseconds()
}
