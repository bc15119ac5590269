package wsconn

import "runtime"

// WaitStuck returns when a Read and a Write are under way.
func (c *Conn) WaitStuck() {
	for c.readMu.TryLock() {
		c.readMu.Unlock()
		runtime.Gosched()
	}
	for c.writeMu.TryLock() {
		c.writeMu.Unlock()
		runtime.Gosched()
	}
}

// WaitClosing returns when Shutdown has begun.
func (s *Server) WaitClosing() {
	for !s.conns.Closing() {
		runtime.Gosched()
	}
}
