package listen

import "container/list"

// turns is a queue that is fair between hubs, and between the sources of each: whoever has most in it waits for itself. It is
// guarded by its owner.
type turns struct {
	n     int
	byHub map[string]*hubTurns
	hubs  list.List // of *hubTurns that have something waiting; the next one first
}

type hubTurns struct {
	name     string
	n        int
	bySource map[source]*sourceTurns
	sources  list.List // of *sourceTurns that have something waiting; the next one first
	element  *list.Element
}

type sourceTurns struct {
	source  source
	waiting list.List // of *turn, the oldest first
	element *list.Element
}

// turn is a place in the queue.
type turn struct {
	hub    string // empty: no hub's
	source source
	begin  func() // its turn has come: it has a slot, until leave is called
	refuse func() // it was taken out before that

	// Guarded by the queue's owner.
	in       *list.Element // in waiting of its source; nil: it does not wait
	ofHub    *hubTurns
	ofSource *sourceTurns
}

// push makes t wait behind what waits of its source.
func (q *turns) push(t *turn) {
	h := q.byHub[t.hub]
	if h == nil {
		h = &hubTurns{name: t.hub, bySource: make(map[source]*sourceTurns)}
		if q.byHub == nil {
			q.byHub = make(map[string]*hubTurns)
		}
		q.byHub[t.hub] = h
		h.element = q.hubs.PushBack(h)
	}
	s := h.bySource[t.source]
	if s == nil {
		s = &sourceTurns{source: t.source}
		h.bySource[t.source] = s
		s.element = h.sources.PushBack(s)
	}
	t.ofHub, t.ofSource = h, s
	t.in = s.waiting.PushBack(t)
	h.n++
	q.n++
}

// pop takes the next one out; nil when none waits.
func (q *turns) pop() *turn {
	front := q.hubs.Front()
	if front == nil {
		return nil
	}
	h := front.Value.(*hubTurns)
	s := h.sources.Front().Value.(*sourceTurns)
	t := s.waiting.Front().Value.(*turn)
	q.hubs.MoveToBack(h.element)
	h.sources.MoveToBack(s.element)
	q.remove(t)
	return t
}

// remove takes t out, and reports whether it waited.
func (q *turns) remove(t *turn) bool {
	if t.in == nil {
		return false
	}
	h, s := t.ofHub, t.ofSource
	s.waiting.Remove(t.in)
	t.in, t.ofHub, t.ofSource = nil, nil, nil
	if s.waiting.Len() == 0 {
		h.sources.Remove(s.element)
		delete(h.bySource, s.source)
	}
	h.n--
	if h.n == 0 {
		q.hubs.Remove(h.element)
		delete(q.byHub, h.name)
	}
	q.n--
	return true
}

// newestOfMost returns the newest one of the source that has most waiting, of the hub that has. It looks at all of them.
func (q *turns) newestOfMost() *turn {
	var most *hubTurns
	for _, h := range q.byHub {
		if most == nil || h.n > most.n {
			most = h
		}
	}
	if most == nil {
		return nil
	}
	var longest *sourceTurns
	for _, s := range most.bySource {
		if longest == nil || s.waiting.Len() > longest.waiting.Len() {
			longest = s
		}
	}
	return longest.waiting.Back().Value.(*turn)
}
