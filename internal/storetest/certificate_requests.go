package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/certrequest"
)

var certificateRequestTests = []test{
	{"keepAll", testCertificateRequest},
	{"editSeesWhatIsStored", testCertificateRequestEdits},
	{"failedEditChangesNothing", testCertificateRequestFails},
	{"emptyOnesAreNotKept", testCertificateRequestEmpty},
	{"goWithTheDevice", testCertificateRequestDeleted},
	{"needAnIdentity", testCertificateRequestOrphan},
}

// aSlot has every field set.
func aSlot(id string) *certrequest.Slot {
	return &certrequest.Slot{
		ID: id, Hash: []byte{0, 255}, CSR: []byte("\x30\x00\xff"), CorrelationID: "c-1", Due: aTime, Expires: aTime.Add(time.Hour + time.Nanosecond),
		Done: true, Certificates: [][]byte{{1}, {2, 3}},
		Failure: &certrequest.Error{
			Code: hubward.CodeCredentialOperationFailed, Message: "\u00fcber", RetryAfter: time.Second,
			Info: certrequest.Info{CorrelationID: "c", CredentialError: "e", CredentialMessage: "m", RequestID: "r", OperationExpires: aTime},
		},
		Minute: aTime, Count: 3,
		Unused: []certrequest.Unused{{Thumbprint: [32]byte{1, 31: 2}, Authentication: [32]byte{3}, Until: aTime}},
	}
}

func wantSlot(t *testing.T, s hub.Store, hubName string, id hubward.Identity, want *certrequest.Slot) {
	t.Helper()
	got, err := s.CertificateRequest(t.Context(), hubName, id)
	if err != nil {
		t.Fatalf("CertificateRequest(%s, %s): %v", hubName, id, err)
	}
	wantEqual(t, "request of "+id.String(), got, want)
}

func putSlot(t *testing.T, s hub.Store, id hubward.Identity, slot *certrequest.Slot) {
	t.Helper()
	err := s.EditCertificateRequest(t.Context(), homeHub, id, func(old *certrequest.Slot) error {
		*old = *slot
		return nil
	})
	if err != nil {
		t.Fatalf("EditCertificateRequest(%s): %v", id, err)
	}
}

func testCertificateRequest(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	wantSlot(t, s, homeHub, dev("d"), &certrequest.Slot{})
	putSlot(t, s, dev("d"), aSlot("one"))
	wantSlot(t, s, homeHub, dev("d"), aSlot("one"))
	wantSlot(t, s, homeHub, dev("e"), &certrequest.Slot{})
	wantSlot(t, s, homeHub, dev("D"), &certrequest.Slot{})
	wantSlot(t, s, "nowhere", dev("d"), &certrequest.Slot{})
	small := &certrequest.Slot{Minute: aTime, Count: 1}
	putSlot(t, s, dev("d"), small)
	wantSlot(t, s, homeHub, dev("d"), small)
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
}

func testCertificateRequestEdits(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for i := range 5 {
		err := s.EditCertificateRequest(t.Context(), homeHub, dev("d"), func(slot *certrequest.Slot) error {
			if slot.Count != i {
				t.Errorf("edit %d sees %d", i, slot.Count)
			}
			slot.Count++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testCertificateRequestFails(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	putSlot(t, s, dev("d"), aSlot("one"))
	bad := errors.New("no")
	err := s.EditCertificateRequest(t.Context(), homeHub, dev("d"), func(slot *certrequest.Slot) error {
		slot.ID = "two"
		return &certrequest.Error{Code: hubward.CodeCredentialOperationActive, Message: bad.Error()}
	})
	var told *certrequest.Error
	if !errors.As(err, &told) || told.Message != "no" {
		t.Errorf("error %v", err)
	}
	wantSlot(t, s, homeHub, dev("d"), aSlot("one"))
}

func testCertificateRequestEmpty(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	putSlot(t, s, dev("d"), aSlot("one"))
	putSlot(t, s, dev("e"), aSlot("two"))
	for range 2 {
		putSlot(t, s, dev("d"), &certrequest.Slot{})
		wantSlot(t, s, homeHub, dev("d"), &certrequest.Slot{})
	}
	wantSlot(t, s, homeHub, dev("e"), aSlot("two"))
}

func testCertificateRequestDeleted(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	putSlot(t, s, dev("d"), aSlot("one"))
	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) { return old, nil })
	wantSlot(t, s, homeHub, dev("d"), aSlot("one"))
	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	wantSlot(t, s, homeHub, dev("d"), &certrequest.Slot{})

	putSlot(t, s, dev("d"), aSlot("one"))
	if err := s.DeleteHub(t.Context(), homeHub); err != nil {
		t.Fatal(err)
	}
	withHome(t, s, "d")
	wantSlot(t, s, homeHub, dev("d"), &certrequest.Slot{})
}

func testCertificateRequestOrphan(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, c := range []struct {
		hubName string
		id      hubward.Identity
	}{{homeHub, dev("unknown")}, {homeHub, mod("d", "m")}, {"nowhere", dev("d")}} {
		err := s.EditCertificateRequest(t.Context(), c.hubName, c.id, func(slot *certrequest.Slot) error {
			*slot = *aSlot("one")
			return nil
		})
		wantNotFound(t, err, c.id)
		if err := s.EditCertificateRequest(t.Context(), c.hubName, c.id, func(*certrequest.Slot) error { return nil }); err != nil {
			t.Errorf("nothing to keep: %v", err)
		}
		wantSlot(t, s, c.hubName, c.id, &certrequest.Slot{})
	}
}
