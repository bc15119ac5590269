package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// importResult is the outcome of a batch.
type importResult struct {
	batch  *importBatch
	failed []service.BulkError
	warned []service.BulkWarning
	err    error // why nobody knows
}

// importCall sends a batch.
func importCall(ctx context.Context, c *service.Client, b *importBatch) importResult {
	result := importResult{batch: b}
	answer, err := c.BulkDevices(ctx, b.items)
	if err == nil {
		result.failed, result.warned = answer.Errors, answer.Warnings
		return result
	}
	if !isForItsRows(err) {
		result.err = err
		return result
	}
	// The hub refused the call for what one row has in it, and says not which: nothing of it was done.
	for i := range b.items {
		item := b.items[i : i+1]
		answer, err := c.BulkDevices(ctx, item)
		if err != nil && !isForItsRows(err) {
			result.err = err
			return result
		}
		if err != nil {
			failed := service.BulkError{DeviceID: item[0].Device.DeviceID, ModuleID: item[0].ModuleID, ErrorStatus: textOf(err)}
			answer.Errors = []service.BulkError{failed}
		}
		result.failed = append(result.failed, answer.Errors...)
		result.warned = append(result.warned, answer.Warnings...)
	}
	return result
}

// isForItsRows reports whether a hub refused a call for what its rows hold: it would refuse it again.
func isForItsRows(err error) bool {
	var e *hubward.Error
	if !errors.As(err, &e) {
		return false
	}
	status := e.Code.HTTPStatus()
	return status == 400 || status == 413
}

// textOf is what the hub says in an error.
func textOf(err error) string {
	var e *hubward.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// collect waits for one of the calls that are on their way, and lists the rows that failed in it.
func (r *importRun) collect() {
	result := <-r.results
	b := result.batch
	r.sent = slices.DeleteFunc(r.sent, func(sent *importBatch) bool { return sent == b })
	if result.err != nil {
		r.end(result.err, b.first)
		return
	}
	failed := map[string]bool{}
	for _, e := range result.failed {
		failed[e.DeviceID] = true
		r.print("line %d: %s: %s", b.lines[e.DeviceID], printable(nameOf(e.DeviceID, e.ModuleID)), printable(e.ErrorStatus))
	}
	for _, w := range result.warned {
		r.warned++
		r.print("line %d: %s: warning: %s", b.lines[w.DeviceID], printable(w.DeviceID), printable(w.WarningStatus))
	}
	r.failed += len(failed)
	r.done += len(b.items) - len(failed)
	part := -1.0
	if r.size > 0 {
		part = float64(r.lines.offset) / float64(r.size)
	}
	r.progress.show(r.done+r.failed, part)
}

func nameOf(device, module string) string {
	return hubward.Identity{Device: device, Module: module}.String()
}

// isSent reports whether a row of one of b's devices is on its way.
func (r *importRun) isSent(b *importBatch) bool {
	for _, sent := range r.sent {
		for device := range b.lines {
			if sent.has(device) {
				return true
			}
		}
	}
	return false
}

// report prints the counts. Rows that failed, and those that are done in part, make the command fail.
func (r *importRun) report(d *deviceCommands) error {
	if d.out.json {
		if err := writeJSON(d.env.Stdout, importCounts{r.done, r.failed, r.warned}); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(d.env.Stdout, "%d devices done, %d failed\n", r.done, r.failed); err != nil {
		return err
	}
	switch {
	case r.failed > 0:
		return fmt.Errorf("%d of %d devices failed", r.failed, r.failed+r.done)
	case r.warned > 0:
		return fmt.Errorf("%d of %d devices are done in part: --without-twins leaves their twins out, and is content", r.warned, r.done)
	}
	return nil
}

// importCounts is the outcome as JSON.
type importCounts struct {
	Done   int `json:"done"` // with those that were warned of
	Failed int `json:"failed"`
	Warned int `json:"warned"`
}
