package hub_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

func (f *fixture) authorize(d *hubward.Device) access.Principal {
	f.t.Helper()
	p, err := f.Authenticate(f.t.Context(), access.Credential{Hub: "plant", Identity: hubward.Identity{Device: d.DeviceID}, Token: f.token(d)})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// A call over HTTPS is a sign of life, and no connection.
func TestIngestOnce_isNoConnection(t *testing.T) {
	f := newFixture(t)
	calling, connected := f.createDevice("calling"), f.createDevice("connected")
	if _, _, err := f.connect(connected); err != nil {
		t.Fatal(err)
	}
	f.advance(time.Minute)
	for _, d := range []*hubward.Device{calling, connected} {
		p := f.authorize(d)
		if err := f.IngestOnce(t.Context(), &p, []*hubward.Message{{Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	f.record(t)
	for id, want := range map[string]hubward.ConnectionState{"calling": hubward.Disconnected, "connected": hubward.Connected} {
		d, err := f.Device(t.Context(), "plant", id)
		if err != nil || d.ConnectionState != want || !d.LastActivityTime.Equal(f.clock()) {
			t.Errorf("%+v, %v, want it %s and active now", d, err, want)
		}
	}
}

func TestIngestOnce_allOrAnError(t *testing.T) {
	f := newFixture(t)
	p := f.authorize(f.createDevice("d1"))
	half := &hubward.Message{Body: make([]byte, hubward.MaxMessageSize/2)}
	if err := f.IngestOnce(t.Context(), &p, nil); err != nil {
		t.Error(err)
	}
	if err := f.IngestOnce(t.Context(), &p, []*hubward.Message{half, half}); err != nil {
		t.Error(err)
	}
	wantCode(t, "too large together", f.IngestOnce(t.Context(), &p, []*hubward.Message{half, half, {Body: []byte("x")}}), hubward.CodeMessageTooLarge)
	f.log.Close()
	wantCode(t, "closed log", f.IngestOnce(t.Context(), &p, []*hubward.Message{half}), hubward.CodeServiceUnavailable)
	p.Hub.Name = "none"
	wantCode(t, "no hub", f.IngestOnce(t.Context(), &p, []*hubward.Message{half}), hubward.CodeNoSuchHub)
}
