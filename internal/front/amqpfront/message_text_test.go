package amqpfront_test

import (
	"math"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

func TestTextOf(t *testing.T) {
	for _, row := range []struct {
		value any
		want  string
	}{
		{true, "true"}, {uint64(math.MaxUint64), "18446744073709551615"}, {int64(math.MinInt64), "-9223372036854775808"},
		{int8(-1), "-1"}, {uint16(7), "7"}, {1.0, "1"}, {float32(0.1), "0.1"}, {1e300, "1e+300"}, {1e-9, "1e-09"}, {21.5, "21.5"},
		{math.Inf(1), "+Inf"}, {amqpwire.Char('€'), "€"}, {time.UnixMilli(1).UTC(), "1970-01-01T00:00:00.001Z"},
		{time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	} {
		if got, ok := amqpfront.TextOf(row.value); !ok || got != row.want {
			t.Errorf("%v: %q, %t, want %q", row.value, got, ok, row.want)
		}
	}
	for _, v := range []any{amqpwire.List{}, amqpwire.Map{}, amqpwire.Array{}, amqpwire.Described{}, amqpwire.Decimal("x")} {
		if got, ok := amqpfront.TextOf(v); ok {
			t.Errorf("%v: %q", v, got)
		}
	}
}
