package unacked

// Room is how many entries there is room for.
func (q *Queue[T]) Room() int { return len(q.ring) }

// Values returns what stands in the ring, entries that have left it included.
func (q *Queue[T]) Values() (all []T) {
	for i := range q.ring {
		all = append(all, q.ring[i].value)
	}
	return all
}
