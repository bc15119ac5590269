package amqpfront

import (
	"math"
	"strconv"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// textOf writes a primitive that is no text already, as the hub keeps it: what is not text on the wire becomes so. ok is
// false for compound values and decimals.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_message.ts sends ids that look like a UUID as one.
func textOf(v any) (text string, ok bool) {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float32:
		return floatText(float64(v), 32), true
	case float64:
		return floatText(v, 64), true
	case amqpwire.UUID:
		return uuidText(v), true
	case amqpwire.Char:
		return string(rune(v)), true
	case time.Time:
		return timeText(v), true
	}
	n, ok := amqpwire.Integer(v)
	if !ok {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

func floatText(f float64, bits int) string {
	if isPlain(f) {
		return strconv.FormatFloat(f, 'f', -1, bits)
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// maxExactFloat bounds the numbers that are written without an exponent.
const maxExactFloat = 1 << 53

// isPlain reports whether f is a number that is best written without an exponent.
func isPlain(f float64) bool { return math.Abs(f) < maxExactFloat && (f == 0 || math.Abs(f) >= 1e-6) }
