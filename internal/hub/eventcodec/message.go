package eventcodec

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// The keys that a reader's link adds, encoded as symbols.
const (
	keySequence = "\xa3\x15x-opt-sequence-number"
	keyOffset   = "\xa3\x0cx-opt-offset"
	keyEnqueued = "\xa3\x13x-opt-enqueued-time"
)

// addedAnnotations is how many annotations AppendMessage adds.
const addedAnnotations = 3

// mapHead is a message-annotations section up to its size and count, four bytes each.
const mapHead = "\x00\x53\x72\xd1\x00\x00\x00\x00\x00\x00\x00\x00"

// AppendMessage appends the message that a reader gets: the record's sections, with its sequence number, its offset,
// which is the same number as text, and its enqueued time as annotations. It allocates nothing but room in dst.
//
// Source: EventHubMessageSerializer.java of Azure/azure-sdk-for-java, which insists on all three and on their types.
func AppendMessage(dst, record []byte, sequence int64, enqueued time.Time) ([]byte, error) {
	count, annotations, sections, err := Split(record)
	if err != nil {
		return dst, err
	}
	dst = append(dst, mapHead...)
	start := len(dst) - 8
	dst = amqpwire.AppendLong(append(dst, keySequence...), sequence)
	dst = appendOffset(append(dst, keyOffset...), sequence)
	dst = amqpwire.AppendTimestamp(append(dst, keyEnqueued...), enqueued)
	dst = append(dst, annotations...)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4)) // the size counts the count's four bytes, not its own
	binary.BigEndian.PutUint32(dst[start+4:], uint32(2*(count+addedAnnotations)))
	return append(dst, sections...), nil
}

// appendOffset appends a number as a string of decimal digits.
func appendOffset(dst []byte, n int64) []byte {
	dst = append(dst, 0xa1, 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}
