package bench

import (
	"testing"
)

func feed(numbers ...int64) *Check {
	c := (&Result{acked: map[string]int64{"d": 4}}).NewCheck("r")
	b := newBody("r", MinSize)
	for _, n := range numbers {
		c.Event("d", b.number(n))
	}
	c.Finish()
	return c
}

func TestCheck(t *testing.T) {
	rows := []struct {
		name                   string
		numbers                []int64
		lost, double, outOrder int64
	}{
		{"all in order", []int64{0, 1, 2, 3}, 0, 0, 0},
		{"more than was acknowledged", []int64{0, 1, 2, 3, 4, 5}, 0, 0, 0},
		{"one lost", []int64{0, 2, 3}, 1, 0, 0},
		{"the last lost", []int64{0, 1, 2}, 1, 0, 0},
		{"nothing came", nil, 4, 0, 0},
		{"twice", []int64{0, 1, 1, 2, 3, 0}, 0, 2, 0},
		{"late", []int64{0, 2, 1, 3}, 0, 0, 1},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c := feed(r.numbers...)
			if c.Lost != r.lost || c.Duplicates != r.double || c.OutOfOrder != r.outOrder {
				t.Errorf("lost %d, duplicates %d, out of order %d; want %d, %d, %d", c.Lost, c.Duplicates, c.OutOfOrder, r.lost, r.double, r.outOrder)
			}
			if c.Complete() != (r.lost == 0) {
				t.Errorf("Complete() = %v", c.Complete())
			}
		})
	}
}

func TestCheck_ignoresOtherRuns(t *testing.T) {
	c := (&Result{acked: map[string]int64{"d": 1}}).NewCheck("r")
	c.Event("d", newBody("another", MinSize).number(0))
	c.Event("d", []byte("no JSON"))
	if c.Read != 0 || c.Complete() {
		t.Error("a message of another run was counted")
	}
}

func TestBody_hasItsSize(t *testing.T) {
	for _, size := range []int{MinSize, MinSize + 1, 256, 4096} {
		if got := len(newBody("0123456789abcdef", size).number(123456)); got != size {
			t.Errorf("a body of %d bytes has %d", size, got)
		}
	}
}
