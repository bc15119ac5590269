package cli

import (
	"io"
	"slices"
	"sync"
	"time"
)

// outputWait is how long a write to the output of serve may take before it goes on without it.
const outputWait = time.Second

// lossyWriter is the output of a process that must not depend on who reads it: a write that fails is lost, and so are those
// that come while one takes longer than outputWait, because nobody reads. Its callers see neither.
type lossyWriter struct {
	to      io.Writer
	pending chan []byte   // to the writing goroutine
	written chan struct{} // from it, one for each

	mu    sync.Mutex // held during writes, for outputWait at most
	stuck bool       // one is still under way
	timer *time.Timer
}

// newLossyWriter returns a writer that a goroutine serves until close.
func newLossyWriter(to io.Writer) *lossyWriter {
	w := &lossyWriter{to: to, pending: make(chan []byte, 1), written: make(chan struct{}, 1), timer: time.NewTimer(outputWait)}
	go func() {
		for p := range w.pending {
			w.to.Write(p) // who has lost its reader has lost what it says
			w.written <- struct{}{}
		}
	}()
	return w
}

// Write returns when p is written, or lost, or will be written once somebody reads. It never fails.
func (w *lossyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck {
		select {
		case <-w.written:
		default:
			return len(p), nil
		}
	}
	w.pending <- slices.Clone(p) // the write may outlast the call
	w.timer.Reset(outputWait)
	defer w.timer.Stop()
	select {
	case <-w.written:
		w.stuck = false
	case <-w.timer.C:
		w.stuck = true
	}
	return len(p), nil
}

// close ends the goroutine; one that is stuck ends with the process. There are no writes any more.
func (w *lossyWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.pending)
}
