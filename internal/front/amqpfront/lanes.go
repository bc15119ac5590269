package amqpfront

import (
	"hash/maphash"
	"sync"
)

// laneCount is how much of what a connection waits for is under way at a time.
const laneCount = 16

// lanes run functions that wait for the store, off the connection's reader: those of one key one after another, in
// order. What is in them is bounded by who fills them: by the credit of a link, or by its unsettled deliveries. The zero
// value works.
type lanes struct {
	running sync.WaitGroup // goroutines of lanes; they live while there is something to do

	mu    sync.Mutex // guards the fields below; a leaf
	seed  maphash.Seed
	lanes *[laneCount]lane // nil until they are needed
}

type lane struct {
	waiting []func()
	busy    bool
}

// do runs f when all that was given before for the key is done. It is called by the connection's reader.
func (s *lanes) do(key string, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes == nil {
		s.seed, s.lanes = maphash.MakeSeed(), new([laneCount]lane)
	}
	l := &s.lanes[maphash.String(s.seed, key)%laneCount]
	l.waiting = append(l.waiting, f)
	if !l.busy {
		l.busy = true
		s.running.Go(func() { s.run(l) })
	}
}

func (s *lanes) run(l *lane) {
	for {
		s.mu.Lock()
		jobs := l.waiting
		l.waiting = nil
		l.busy = len(jobs) > 0
		s.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for _, f := range jobs {
			f()
		}
	}
}

// wait returns when all is done.
func (s *lanes) wait() { s.running.Wait() }
