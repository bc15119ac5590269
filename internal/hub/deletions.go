package hub

import (
	"cmp"
	"context"
	"strings"
	"time"
)

// A hub that is deleted is gone once its row is: the same transaction notes what the log calls it. Its events are deleted then,
// by whoever deleted it, and by the job below, also after a crash in between. A later hub of the same name has another name in
// the log. So nothing of the old one reaches it, however late a node hears of the deletion, and however late it is done.

// newLogName returns what the log calls a new hub: no hub before had that name.
func (h *Hub) newLogName(name string) (string, error) {
	id, err := h.newGUID()
	if err != nil {
		return "", err
	}
	unique, _, _ := strings.Cut(id, "-") // 32 bits, among all hubs that ever had this name
	return name + "." + unique, nil
}

// logName is what the event log calls the hub.
func (c *Config) logName() string { return cmp.Or(c.LogName, c.Name) }

// deletionGrace is how long a deleted hub is remembered. Nodes that have not heard of the deletion may let its devices in, which
// go on sending; in that time, they have looked for themselves.
const deletionGrace = 4 * lookInterval

// finishDeletions deletes the events of hubs that were deleted, until ctx ends. It is one node's job at a time, and harmless
// when two do it.
func (h *Hub) finishDeletions(ctx context.Context) {
	dropped := make(map[string]time.Time) // when each hub was deleted whose events this turn has deleted already
	for {
		if err := h.finishDeletionsNow(ctx, dropped); err != nil && ctx.Err() == nil {
			h.logger.Warn("the events of a deleted hub are still there", "error", err)
		}
		if !h.waitFor(ctx, nil, 0) {
			return
		}
	}
}

// finishDeletionsNow deletes events when it sees a deletion first, and once more before it is forgotten.
func (h *Hub) finishDeletionsNow(ctx context.Context, dropped map[string]time.Time) error {
	logs, err := h.store.DeletedLogs(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs {
		over := h.now().Sub(l.Deleted) >= deletionGrace
		if dropped[l.Name].Equal(l.Deleted) && !over {
			continue
		}
		if err := h.log.Drop(ctx, l.Name); err != nil {
			return err
		}
		dropped[l.Name] = l.Deleted
		if !over {
			continue
		}
		if err := h.store.ForgetDeletedLog(ctx, l.Name); err != nil {
			return err
		}
		delete(dropped, l.Name)
	}
	return nil
}

// StrayLogs returns the names of hubs in the log that the store does not know: neither as a hub, nor as one that was deleted.
// Log and store do not belong together then, or the store is of an earlier time.
func (h *Hub) StrayLogs(ctx context.Context) ([]string, error) {
	logged, err := h.log.Hubs(ctx)
	if err != nil {
		return nil, err
	}
	deleted, err := h.store.DeletedLogs(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, l := range deleted {
		known[l.Name] = true
	}
	for _, s := range h.states() {
		known[h.config(s).logName()] = true
	}
	var stray []string
	for _, name := range logged {
		if !known[name] {
			stray = append(stray, name)
		}
	}
	return stray, nil
}
