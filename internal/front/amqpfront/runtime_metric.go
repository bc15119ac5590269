package amqpfront

import (
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// sectionDeliveryAnnotations is the section that the runtime metric travels in.
const sectionDeliveryAnnotations amqpwire.Section = 0x71

// metricSection puts what is known of the end of the partition before each event of a batch: the delivery annotations of
// a client that asked for the receiver's runtime metric. All four keys or none.
//
// Source: EventHubMessageSerializer.java of Azure/azure-sdk-for-java.
type metricSection struct {
	now     func() time.Time
	section []byte
	buffer  []byte
	ends    []int
}

// prepend returns the batch with the section before each message. The result is valid until the next call.
func (m *metricSection) prepend(b hub.Bounds, batch []byte, ends []int) ([]byte, []int) {
	m.encode(b)
	if cap(m.buffer) > maxKeptBuffer {
		m.buffer = nil
	}
	m.buffer, m.ends = m.buffer[:0], m.ends[:0]
	start := 0
	for _, end := range ends {
		m.buffer = append(append(m.buffer, m.section...), batch[start:end]...)
		m.ends = append(m.ends, len(m.buffer))
		start = end
	}
	return m.buffer, m.ends
}

func (m *metricSection) encode(b hub.Bounds) {
	last := b.Next - 1
	dst, annotations := amqpwire.BeginMap(amqpwire.AppendSection(m.section[:0], sectionDeliveryAnnotations))
	dst = amqpwire.AppendLong(amqpwire.AppendSymbol(dst, "last_enqueued_sequence_number"), last)
	dst = amqpwire.AppendString(amqpwire.AppendSymbol(dst, "last_enqueued_offset"), hub.FormatOffset(last))
	dst = amqpwire.AppendTimestamp(amqpwire.AppendSymbol(dst, "last_enqueued_time_utc"), b.LastEnqueued)
	dst = amqpwire.AppendTimestamp(amqpwire.AppendSymbol(dst, "runtime_info_retrieval_time_utc"), m.now())
	m.section = annotations.End(dst, 8)
}
