package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func TestUpdateHub_c2dSettings(t *testing.T) {
	f := newFixture(t)
	defaults := hub.C2DSettings{
		DefaultTTL: time.Hour, MaxDeliveryCount: 10, FeedbackTTL: time.Hour, FeedbackLock: time.Minute, FeedbackMaxDeliveryCount: 10,
	}
	if c, err := f.HubOf("plant"); err != nil || c.C2D != defaults {
		t.Errorf("a new hub has %+v, %v", c.C2D, err)
	}
	for _, c := range []struct {
		change hub.C2DSettings
		names  string // in the error; empty: accepted
	}{
		{hub.C2DSettings{DefaultTTL: time.Minute, FeedbackTTL: 48 * time.Hour, FeedbackLock: 5 * time.Second, MaxDeliveryCount: 1, FeedbackMaxDeliveryCount: 100}, ""},
		{hub.C2DSettings{DefaultTTL: 48 * time.Hour, FeedbackTTL: time.Minute, FeedbackLock: 300 * time.Second, MaxDeliveryCount: 100, FeedbackMaxDeliveryCount: 1}, ""},
		{hub.C2DSettings{DefaultTTL: time.Minute - 1}, "cloudToDevice.defaultTtl"},
		{hub.C2DSettings{DefaultTTL: 48*time.Hour + 1}, "cloudToDevice.defaultTtl"},
		{hub.C2DSettings{FeedbackTTL: -1}, "cloudToDevice.feedback.ttl"},
		{hub.C2DSettings{FeedbackLock: 5*time.Second - 1}, "cloudToDevice.feedback.lockDuration"},
		{hub.C2DSettings{FeedbackLock: 301 * time.Second}, "cloudToDevice.feedback.lockDuration"},
		{hub.C2DSettings{MaxDeliveryCount: 101}, "cloudToDevice.maxDeliveryCount"},
		{hub.C2DSettings{FeedbackMaxDeliveryCount: -1}, "cloudToDevice.feedback.maxDeliveryCount"},
	} {
		got, err := f.UpdateHub(t.Context(), "plant", hub.HubChange{C2D: c.change})
		if c.names == "" {
			if err != nil || got.C2D != c.change {
				t.Errorf("%+v: %+v, %v", c.change, got.C2D, err)
			}
			continue
		}
		wantCode(t, c.names, err, hubward.CodeArgumentInvalid)
		if err != nil && !strings.Contains(err.Error(), c.names) {
			t.Errorf("%v does not name %s", err, c.names)
		}
		_, err = f.CreateHub(t.Context(), hub.NewHub{Name: "other", C2D: c.change})
		wantCode(t, c.names, err, hubward.CodeArgumentInvalid)
	}
	if _, err := f.UpdateHub(t.Context(), "plant", hub.HubChange{C2D: hub.C2DSettings{DefaultTTL: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	if c, _ := f.HubOf("plant"); c.C2D.MaxDeliveryCount != 100 || c.C2D.DefaultTTL != time.Hour {
		t.Errorf("after a change of one member: %+v", c.C2D)
	}
}

func TestC2D_settingsHold(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		change := hub.HubChange{C2D: hub.C2DSettings{DefaultTTL: 2 * time.Minute, MaxDeliveryCount: 1}}
		if _, err := p.UpdateHub(t.Context(), "plant", change); err != nil {
			t.Fatal(err)
		}
		b := p.receive(p.connect(p.device("d")), 1)
		p.send("d", "1", "2")
		b.mustSettle(b.want("1")[0], hub.C2DAbandon)
		p.wantFeedback(record{"1", hubward.FeedbackDeliveryCountExceeded})
		time.Sleep(2 * time.Minute)
		p.wantFeedback(record{"2", hubward.FeedbackExpired})
	})
}
