package hub

import (
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// updatedBy is the application property of a twin change that says who has made it. The cloud service's events have none such.
const updatedBy = "hubward-updated-by"

// authorOf says who p is, in the words of that property.
func authorOf(p *access.Principal) string {
	switch {
	case p.Identity.Module != "":
		return "module " + p.Identity.String()
	case p.Identity.Device != "":
		return "device " + p.Identity.Device
	case p.IsProcess():
		return "process"
	}
	return "policy " + p.Policy
}

// tell returns the event of a change that has left r's twin as it is.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, device twin change events.
func (c *twinChange) tell(r *Registration, before *StoredTwin) HubEvent {
	e := twinEvent(c.hub, c.event, r.Identity(), c.by)
	e.at = c.at
	if c.replace {
		e.operation = "replaceTwin"
		e.body = appendTwin(nil, r, r.Twin)
		return e.encode()
	}
	e.body = strconv.AppendInt([]byte(`{"version":`), r.Twin.Version(), 10)
	if c.tags != nil {
		e.body = r.Twin.Tags.AppendChange(append(e.body, `,"tags":`...), before.Tags, c.tags)
	}
	if c.desired != nil {
		e.body = r.Twin.Desired.AppendChange(append(e.body, `,"properties":{"desired":`...), before.Desired, c.desired)
		e.body = append(e.body, '}')
	}
	e.body = append(e.body, '}')
	return e.encode()
}

// changeRoom is how large most bodies of the events of patches are at most, in bytes.
const changeRoom = 512

// reportedEvent is the event of a patch of an identity's reported properties, which are a version of the twin then.
func reportedEvent(e hubEvent, version int64, before, after twindoc.Section, p *twindoc.Patch) HubEvent {
	e.body = append(make([]byte, 0, changeRoom), `{"version":`...)
	e.body = strconv.AppendInt(e.body, version, 10)
	e.body = after.AppendChange(append(e.body, `,"properties":{"reported":`...), before, p)
	e.body = append(e.body, `}}`...)
	return e.encode()
}

func twinEvent(hub, id string, of hubward.Identity, by string) hubEvent {
	return hubEvent{
		hub: hub, id: id, identity: of, operation: "updateTwin", source: eventcodec.SourceTwinChange, schema: "twinChangeNotification",
		updatedBy: by,
	}
}
