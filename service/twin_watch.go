package service

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/hubward/hubward"
)

// TwinChange is one write to a twin.
type TwinChange struct {
	Identity hubward.Identity
	At       time.Time // when it was written
	By       string    // "policy NAME", "device ID" or "module ID/MODULE"; empty: the hub does not say
	Version  int64     // of the twin, after the write

	// Replaced says that tags and desired properties were replaced: the sections are whole. Otherwise they hold what was
	// written, with null for what was removed, and nil stands for a section that was not touched. Sections of properties hold
	// $version, and the $metadata of their members.
	Replaced                bool
	Tags, Desired, Reported json.RawMessage

	Event *Event // the event that tells of it
}

// WatchTwin follows the writes to the twin of a device or module until ctx ends or the loop is left, in the order in which they
// were made. It is Events, with Endpoint, Source and DeviceID set: the rest of o, and what is said of errors there, holds here
// too. A write is told of once it is stored, and for as long as the hub retains events. Hubward only. Needs ServiceConnect.
func (c *Client) WatchTwin(ctx context.Context, id hubward.Identity, o EventsOptions) iter.Seq2[*TwinChange, error] {
	o.Endpoint, o.Source, o.DeviceID = HubEvents, TwinChangeEvents, id.Device
	return func(yield func(*TwinChange, error) bool) {
		for e, err := range c.Events(ctx, o) {
			if err != nil {
				yield(nil, err)
				return
			}
			if e.ModuleID() != id.Module {
				continue
			}
			change, err := twinChange(e)
			if err != nil {
				yield(nil, fmt.Errorf("service.WatchTwin: event %d of partition %s cannot be read: %w", e.SequenceNumber, e.Partition, err))
				return
			}
			if !yield(change, nil) {
				return
			}
		}
	}
}

// twinChange reads an event.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, device twin change events.
func twinChange(e *Event) (*TwinChange, error) {
	var body struct {
		Version    int64           `json:"version"`
		Tags       json.RawMessage `json:"tags"`
		Properties struct {
			Desired  json.RawMessage `json:"desired"`
			Reported json.RawMessage `json:"reported"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, e.Properties["operationTimestamp"])
	if err != nil {
		at = e.EnqueuedTime
	}
	return &TwinChange{
		Identity: hubward.Identity{Device: e.DeviceID(), Module: e.ModuleID()}, At: at.UTC(), By: e.Properties["hubward-updated-by"],
		Version: body.Version, Replaced: e.Properties["opType"] == "replaceTwin",
		Tags: body.Tags, Desired: body.Properties.Desired, Reported: body.Properties.Reported, Event: e,
	}, nil
}
