package hub

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// twinETag is the etag of a twin as clients see it: base64 of its count, in 8 bytes, the highest first.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, whose samples have AAAAAAAAAAE= and so on.
func twinETag(t *StoredTwin) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(t.ETag)))
}

// liveTwin returns the twin of an identity as back ends see it, with its connection as it is now.
//
// Errors: CodeServerError for a twin that is damaged.
func (h *Hub) liveTwin(ctx context.Context, hub string, r *Registration) (*hubward.Twin, error) {
	h.addLiveState(ctx, hub, r)
	return twinOf(r)
}

// twinOf returns the twin of an identity as back ends see it.
func twinOf(r *Registration) (*hubward.Twin, error) {
	t := r.Twin
	twin := &hubward.Twin{
		DeviceID: r.DeviceID, ModuleID: r.ModuleID, ETag: twinETag(t), DeviceETag: r.ETag,
		Status: r.Status, StatusReason: string(r.StatusReason), StatusUpdateTime: r.StatusUpdatedTime,
		ConnectionState: r.ConnectionState, LastActivityTime: r.LastActivityTime, CloudToDeviceMessageCount: r.CloudToDeviceMessageCount,
		ModelID: r.ModelID, Version: t.Version(), Capabilities: r.Capabilities, DeviceScope: r.DeviceScope, ParentScopes: r.ParentScopes,
	}
	if auth := r.Authentication; auth != nil {
		twin.AuthenticationType, twin.X509Thumbprint = auth.Type, auth.X509Thumbprint
	}
	for _, part := range []struct {
		from *twindoc.Section
		to   *json.RawMessage
	}{
		{&t.Tags, &twin.Tags}, {&t.Desired, &twin.Properties.Desired}, {&t.Reported, &twin.Properties.Reported},
	} {
		text, err := part.from.AppendFull(nil)
		if err != nil {
			return nil, &hubward.Error{Code: hubward.CodeServerError, Op: "hub.twinOf", Identity: r.Identity(), Err: err}
		}
		*part.to = text
	}
	return twin, nil
}

// appendTwin appends the twin of an identity as an event shows the whole of it. Ids and etags hold nothing that JSON escapes.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema.
func appendTwin(dst []byte, r *Registration, t *StoredTwin) []byte {
	dst = append(append(dst, `{"deviceId":"`...), r.DeviceID...)
	if r.ModuleID != "" {
		dst = append(append(dst, `","moduleId":"`...), r.ModuleID...)
	}
	dst = append(append(dst, `","etag":"`...), twinETag(t)...)
	dst = strconv.AppendInt(append(dst, `","version":`...), t.Version(), 10)
	dst = appendSection(append(dst, `,"tags":`...), t.Tags)
	dst = appendSection(append(dst, `,"properties":{"desired":`...), t.Desired)
	dst = appendSection(append(dst, `,"reported":`...), t.Reported)
	return append(dst, `}}`...)
}

// appendSection appends a section for an event: without its metadata if that is damaged, which is no reason to refuse, say, the
// deletion of an identity.
func appendSection(dst []byte, s twindoc.Section) []byte {
	if full, err := s.AppendFull(dst); err == nil {
		return full
	}
	return s.AppendDocument(dst)
}
