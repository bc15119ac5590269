package hub

import "context"

// RecordNow stores what has gathered of connections.
func (h *Hub) RecordNow(ctx context.Context) error {
	h.recordOnce(ctx)
	return nil
}

// DeliverMethod and DeliverDesired reach a connected identity, on whatever node it is.
var (
	DeliverMethod  = (*Hub).deliverMethod
	DeliverDesired = (*Hub).deliverDesired
)

// The parsers of scopes and queries, for fuzzing.
var (
	NewEdgeScope      = newEdgeScope
	EdgeDeviceOf      = edgeDeviceOf
	NewContinuation   = newContinuation
	ParseContinuation = parseContinuation
	IsAllDevices      = isAllDevices
)

// LogName is what the event log calls a hub.
func (h *Hub) LogName(name string) string {
	_, c, err := h.find(name)
	if err != nil {
		return name
	}
	return c.logName()
}
