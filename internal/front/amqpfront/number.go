package amqpfront

import (
	"math"
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/number"
)

// wholeOf reads a number, whatever a client writes it as: integers of any width, floating-point numbers, and text that reads
// as their languages print it, such as 3, 3.0 or 1e2. Decimals are cut, and exact tells of those; what is beyond
// ±number.MaxExact is that. ok is false for anything else.
func wholeOf(v any) (n int64, exact, ok bool) {
	if n, ok = amqpwire.Integer(v); ok {
		return n, true, true
	}
	var f float64
	switch v := v.(type) {
	case uint64:
		f = float64(v)
	case float32:
		f = float64(v)
	case float64:
		f = v
	default:
		text, isText := amqpwire.Text(v)
		if f, ok = number.Parse(strings.TrimSpace(text)); !ok || !isText {
			return 0, false, false
		}
	}
	if math.IsNaN(f) {
		return 0, false, false
	}
	whole := math.Trunc(f)
	return int64(max(-number.MaxExact, min(number.MaxExact, whole))), f == whole && math.Abs(f) <= number.MaxExact, true
}
