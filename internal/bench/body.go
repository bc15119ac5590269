package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// numberWidth is the width of the number in a body: fixed, so that it can be overwritten.
const numberWidth = 12

// MinSize is the smallest body that holds a run id of 16 characters and a number.
const MinSize = 64

// body is a message body with a number in it: {"run":"…","n":"000000000012","pad":"xxx"}.
type body struct {
	text []byte
	at   int // where the number stands
}

func newBody(run string, size int) *body {
	head := fmt.Sprintf(`{"run":%q,"n":"`, run)
	tail := `","pad":"`
	pad := max(0, size-len(head)-numberWidth-len(tail)-2)
	text := head + string(bytes.Repeat([]byte{'0'}, numberWidth)) + tail + string(bytes.Repeat([]byte{'x'}, pad)) + `"}`
	return &body{text: []byte(text), at: len(head)}
}

// number returns the body with n in it. The result is good until the next call.
func (b *body) number(n int64) []byte {
	digits := strconv.AppendInt(nil, n, 10)
	field := b.text[b.at : b.at+numberWidth]
	for i := range field {
		field[i] = '0'
	}
	copy(field[numberWidth-len(digits):], digits)
	return b.text
}
