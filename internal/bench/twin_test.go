package bench

import (
	"encoding/json"
	"maps"
	"testing"
	"unicode/utf8"
)

// sizeOf counts as the limits of twins do.
func sizeOf(t *testing.T, text []byte) int {
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return sizeOfMembers(members)
}

func sizeOfMembers(members map[string]any) int {
	size := 0
	for name, value := range members {
		size += utf8.RuneCountInString(name)
		switch v := value.(type) {
		case string:
			size += utf8.RuneCountInString(v)
		case float64:
			size += 8
		}
	}
	return size
}

func TestTwinOf_hasItsSize(t *testing.T) {
	for size := MinTwinSize; size <= 2048; size++ {
		if got := sizeOf(t, TwinOf(size, 12345)); got != size {
			t.Errorf("a twin of %d bytes has %d", size, got)
		}
	}
	if got := sizeOf(t, TwinOf(MaxTwinSize, 0)); got != MaxTwinSize {
		t.Errorf("the largest twin has %d", got)
	}
}

// A device that had a twin of one size gets one of another.
func TestFillOf_leavesNothingElse(t *testing.T) {
	stored := map[string]any{}
	for _, size := range []int{1024, 2048, MinTwinSize, 2048, 265, 2048, 266, 2048, 270, MaxTwinSize, 525, MaxTwinSize} {
		var patch map[string]any
		if err := json.Unmarshal(fillOf(size), &patch); err != nil {
			t.Fatal(err)
		}
		maps.Copy(stored, patch)
		maps.DeleteFunc(stored, func(_ string, value any) bool { return value == nil })
		if got := sizeOfMembers(stored); got != size {
			t.Errorf("a twin that was filled to %d bytes has %d", size, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, figures := range map[float64][]float64{0: nil, 3: {3}, 2: {3, 1, 2}, 2.5: {4, 1, 3, 2}} {
		if got := Median(figures); got != want {
			t.Errorf("%v: got %v, want %v", figures, got, want)
		}
	}
}
