package device

import "sync"

// handlers counts the goroutines that run functions of the program: Options.OnMessage, OnDesired and methods.
type handlers struct {
	idle chan struct{} // closed once none runs and none will

	mu      sync.Mutex // guards the fields below; a leaf
	running int
	stopped bool
}

// start counts a goroutine that is about to begin. It reports false when none may any more.
func (h *handlers) start() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return false
	}
	h.running++
	return true
}

// end counts one that has ended.
func (h *handlers) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	h.closeLocked()
}

// stop lets no more begin.
func (h *handlers) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.stopped = true
		h.closeLocked()
	}
}

func (h *handlers) closeLocked() {
	if h.stopped && h.running == 0 {
		close(h.idle)
	}
}
