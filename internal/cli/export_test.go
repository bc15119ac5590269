package cli

import (
	"errors"
	"io"
	"time"

	"github.com/hubward/hubward/service"
)

// Limits that tests go up to.
const (
	MaxImportLine  = maxImportLine
	MaxBatchBytes  = maxBatchBytes
	MaxOpenBatches = maxOpenBatches
)

// Lines are what a lineReader makes of in: a line each, and nil for one that is too long.
func Lines(in io.Reader, limit int) (lines [][]byte, offset int64, err error) {
	r := newLineReader(in, limit)
	for {
		line, err := r.next()
		switch {
		case err == nil:
			lines = append(lines, append([]byte{}, line...))
		case errors.Is(err, errLongLine):
			lines = append(lines, nil)
		case errors.Is(err, io.EOF):
			return lines, r.offset, nil
		default:
			return lines, r.offset, err
		}
	}
}

// ParseImportRow parses a line of an import file. An empty mode: none is given.
func ParseImportRow(line []byte, mode service.ImportMode) (service.BulkItem, []string, error) {
	rules := importRules{mode: mode, modeGiven: mode != ""}
	if mode == "" {
		rules.mode = service.CreateOrUpdate
	}
	return rules.parse(line)
}

// BatchRow is a row of an import, and Batch the lines of one call.
type (
	BatchRow struct {
		Device string
		Size   int
	}
	Batch struct {
		Lines []int
		First int
		Bytes int
	}
)

// Batches sorts rows, whose lines are counted from 1, into calls.
func Batches(rows []BatchRow) (batches []Batch) {
	var open importBatches
	take := func(ready []*importBatch) {
		for _, b := range ready {
			batch := Batch{First: b.first, Bytes: b.bytes}
			for _, item := range b.items {
				batch.Lines = append(batch.Lines, b.lines[item.Device.DeviceID])
			}
			batches = append(batches, batch)
		}
	}
	for i, row := range rows {
		item := service.BulkItem{}
		item.Device.DeviceID = row.Device
		take(open.add(item, i+1, row.Size))
	}
	take(open.rest())
	return batches
}

// Progress is a progress line that is shown on w.
type Progress struct{ p *progress }

func NewProgress(w io.Writer, now func() time.Time) Progress {
	return Progress{&progress{w: w, now: now, what: "devices", started: now()}}
}

func (p Progress) Show(done int, part float64) { p.p.show(done, part) }
func (p Progress) Clear()                      { p.p.clear() }

// WriteWhole is writeWhole.
var WriteWhole = writeWhole
