package unacked_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/unacked"
)

// delivery is an entry as an AMQP front end has it: it remembers the first error of its messages.
type delivery struct {
	ID  int
	Err error
}

// seen is a call of each.
type seen struct {
	Delivery delivery
	Over     bool
}

func TestQueue_batches(t *testing.T) {
	full, disk := errors.New("full"), errors.New("disk")
	var got []seen
	each := func(err error) func(*delivery, bool) {
		return func(d *delivery, over bool) {
			if err != nil && d.Err == nil {
				d.Err = err
			}
			got = append(got, seen{*d, over})
		}
	}
	var q unacked.Queue[delivery]
	q.Append(delivery{ID: 1}, 100, 1)
	q.Append(delivery{ID: 2}, 50, 10)
	steps := []struct {
		name       string
		do         func()
		want       []seen
		len, bytes int
	}{
		{"one and a half", func() { q.Confirm(6, each(nil)) }, []seen{{delivery{1, nil}, true}, {delivery{2, nil}, false}}, 1, 50},
		{"two refused", func() { q.TakeBack(2, each(full)) }, []seen{{delivery{2, full}, false}}, 1, 50},
		{"another one behind it", func() { q.Append(delivery{ID: 3}, 7, 3) }, nil, 2, 57},
		{"all of it refused", func() { q.TakeBack(3, each(full)) }, []seen{{delivery{3, full}, true}}, 1, 50},
		{"the first error stays", func() { q.Confirm(1, each(disk)) }, []seen{{delivery{2, full}, false}}, 1, 50},
		{"the rest", func() { q.Confirm(2, each(nil)) }, []seen{{delivery{2, full}, true}}, 0, 0},
		{"nothing more", func() { q.Confirm(0, each(nil)) }, nil, 0, 0},
	}
	for _, s := range steps {
		got = nil
		s.do()
		if diff := cmp.Diff(s.want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", s.name, diff)
		}
		if q.Len() != s.len || q.Bytes() != s.bytes {
			t.Errorf("%s: %d entries, %d bytes; want %d and %d", s.name, q.Len(), q.Bytes(), s.len, s.bytes)
		}
	}
}

// Whatever is appended, confirmed and taken back: each message is accounted for once, in order, and each entry is over once.
func TestQueue_agreesWithAList(t *testing.T) {
	type item struct{ id, size, left int }
	random := rand.New(rand.NewPCG(1, 2))
	var q unacked.Queue[int]
	var list []item
	next, pending := 0, 0
	for step := range 200_000 {
		wantOver := []int{}
		over := []int{}
		each := func(id *int, is bool) {
			if is {
				over = append(over, *id)
			}
		}
		grows := step/5000%2 == 0 // long and short by turns, so that the ring wraps, grows and is dropped
		switch n := random.IntN(10); {
		case n < 3 || n < 7 && grows:
			it := item{next, random.IntN(1000), 1 + random.IntN(3)}
			next, pending = next+1, pending+it.left
			list = append(list, it)
			q.Append(it.id, it.size, it.left)
		case n == 9 && len(list) > 0:
			last := &list[len(list)-1]
			k := 1 + random.IntN(last.left)
			q.TakeBack(k, each)
			pending -= k
			if last.left -= k; last.left == 0 {
				wantOver = append(wantOver, last.id)
				list = list[:len(list)-1]
			}
		default:
			k := random.IntN(min(pending, 20) + 1)
			q.Confirm(k, each)
			pending -= k
			for k > 0 {
				taken := min(k, list[0].left)
				k -= taken
				if list[0].left -= taken; list[0].left == 0 {
					wantOver = append(wantOver, list[0].id)
					list = list[1:]
				}
			}
		}
		bytes := 0
		for _, it := range list {
			bytes += it.size
		}
		if !cmp.Equal(wantOver, over) || q.Len() != len(list) || q.Bytes() != bytes {
			t.Fatalf("step %d: over %v, want %v; %d entries, want %d; %d bytes, want %d", step, over, wantOver, q.Len(), len(list), q.Bytes(), bytes)
		}
		if len(list) == 0 && q.Room() > 64 {
			t.Fatalf("step %d: empty, with room for %d", step, q.Room())
		}
	}
	if next < 10_000 {
		t.Errorf("only %d entries were tried", next)
	}
}

func TestQueue_givesRoomBackWhenEmpty(t *testing.T) {
	ignore := func(*int, bool) {}
	for _, n := range []int{1, 64, 65, 8192} {
		var q unacked.Queue[int]
		for id := range n {
			q.Append(id, 1, 1)
		}
		q.Confirm(n-1, ignore)
		if q.Room() < n {
			t.Errorf("with an entry left of %d there is room for %d", n, q.Room())
		}
		q.Confirm(1, ignore)
		if q.Room() > 64 || n <= 64 && q.Room() == 0 {
			t.Errorf("after %d entries it keeps room for %d", n, q.Room())
		}
	}
}

// What has left the queue is the garbage collector's.
func TestQueue_keepsNoValue(t *testing.T) {
	var q unacked.Queue[*int]
	for range 3 {
		q.Append(new(int), 1, 1)
	}
	q.Confirm(1, func(**int, bool) {})
	q.TakeBack(1, func(**int, bool) {})
	kept := 0
	for _, v := range q.Values() {
		if v != nil {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d values are kept for one entry", kept)
	}
}

func TestQueue_doesNotAllocate(t *testing.T) {
	var q unacked.Queue[uint16]
	var acks []byte
	round := func() {
		for id := range uint16(40) {
			q.Append(id, 256, 1)
		}
		acks = acks[:0]
		q.Confirm(40, func(id *uint16, _ bool) { acks = append(acks, byte(*id)) })
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	var q unacked.Queue[uint16]
	sum := 0
	b.ReportAllocs()
	for b.Loop() {
		for id := range uint16(40) {
			q.Append(id, 256, 1)
		}
		q.Confirm(40, func(id *uint16, _ bool) { sum += int(*id) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/40, "ns/message")
}
