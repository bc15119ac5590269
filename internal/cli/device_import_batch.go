package cli

import (
	"slices"

	"github.com/hubward/hubward/service"
)

// Bounds of what an import holds in memory, and of one call. A hub takes bodies of up to 8 MiB.
const (
	maxBatchBytes  = 4 << 20
	maxOpenBatches = 8
)

// importBatch is the rows of one bulk call. Each is of another device: a call that names one twice is refused as a whole.
type importBatch struct {
	items []service.BulkItem
	lines map[string]int // where the row of a device is from
	first int            // the first of those lines
	bytes int
}

func (b *importBatch) has(device string) bool {
	_, ok := b.lines[device]
	return ok
}

// importBatches sorts rows into calls. The rows of one device keep their order: each goes into a later call than the one
// before it. A device and its modules are often neighbours in a file, so several batches are open, and all of them get full.
type importBatches struct {
	open []*importBatch // in the order in which they have to be sent
}

// add takes a row, and returns the batches that are to be sent now, in order.
func (o *importBatches) add(item service.BulkItem, line, size int) (ready []*importBatch) {
	device := item.Device.DeviceID
	i := len(o.open) // the first one behind all that have the device
	for i > 0 && !o.open[i-1].has(device) {
		i--
	}
	for i < len(o.open) && o.open[i].bytes+size > maxBatchBytes {
		ready, i = append(ready, o.take(i+1)...), 0
	}
	if i == maxOpenBatches {
		ready, i = o.take(1), i-1
	}
	if i == len(o.open) {
		o.open = append(o.open, &importBatch{lines: map[string]int{}, first: line})
	}
	b := o.open[i]
	b.items = append(b.items, item)
	b.lines[device] = line
	b.first = min(b.first, line)
	b.bytes += size
	if len(b.items) == service.MaxBulkItems {
		ready = append(ready, o.take(i+1)...)
	}
	return ready
}

// take removes the first n batches.
func (o *importBatches) take(n int) []*importBatch {
	n = min(n, len(o.open))
	taken := slices.Clone(o.open[:n])
	o.open = slices.Delete(o.open, 0, n)
	return taken
}

// rest returns the batches that are left.
func (o *importBatches) rest() []*importBatch { return o.take(len(o.open)) }
