package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// The rules of one place hold for telemetry and for messages to devices, at their limits.
func TestMessageRules(t *testing.T) {
	f := newFixture(t)
	p := f.authorize(f.createDevice("d1"))
	properties := func(n int) []hubward.Property {
		list := make([]hubward.Property, n)
		for i := range list {
			list[i] = hubward.Property{Name: strings.Repeat("n", i/26+1) + string(rune('a'+i%26)), Value: "v"}
		}
		return list
	}
	const bad = "\xff"
	for what, c := range map[string]struct {
		m    hubward.Message
		want hubward.Code // 0: taken
	}{
		"nothing":                   {hubward.Message{}, 0},
		"a long message id":         {hubward.Message{MessageID: strings.Repeat("i", 128)}, 0},
		"a longer message id":       {hubward.Message{MessageID: strings.Repeat("i", 129)}, hubward.CodeArgumentInvalid},
		"a long id beyond ASCII":    {hubward.Message{MessageID: strings.Repeat("ü", 128)}, 0},
		"a longer id beyond ASCII":  {hubward.Message{MessageID: strings.Repeat("ü", 129)}, hubward.CodeArgumentInvalid},
		"a long correlation id":     {hubward.Message{CorrelationID: strings.Repeat("i", 500)}, 0},
		"many properties":           {hubward.Message{Properties: properties(hub.MaxProperties)}, 0},
		"more properties":           {hubward.Message{Properties: properties(hub.MaxProperties + 1)}, hubward.CodeArgumentInvalid},
		"a body that is no text":    {hubward.Message{Body: []byte(bad)}, 0},
		"a property name":           {hubward.Message{Properties: []hubward.Property{{Name: bad}}}, hubward.CodeArgumentInvalid},
		"a property value":          {hubward.Message{Properties: []hubward.Property{{Name: "n", Value: bad}}}, hubward.CodeArgumentInvalid},
		"a message id in no UTF-8":  {hubward.Message{MessageID: bad}, hubward.CodeArgumentInvalid},
		"a user id in no UTF-8":     {hubward.Message{UserID: bad}, hubward.CodeArgumentInvalid},
		"a content type likewise":   {hubward.Message{ContentType: bad}, hubward.CodeArgumentInvalid},
		"an encoding likewise":      {hubward.Message{ContentEncoding: bad}, hubward.CodeArgumentInvalid},
		"a component likewise":      {hubward.Message{Subject: bad}, hubward.CodeArgumentInvalid},
		"a trace context likewise":  {hubward.Message{TraceContext: bad}, hubward.CodeArgumentInvalid},
		"a creation time likewise":  {hubward.Message{CreationTime: bad}, hubward.CodeArgumentInvalid},
		"an output name likewise":   {hubward.Message{OutputName: bad}, hubward.CodeArgumentInvalid},
		"text beyond ASCII is fine": {hubward.Message{MessageID: "ü", Properties: []hubward.Property{{Name: "ü", Value: "日本"}}}, 0},
	} {
		for way, err := range map[string]error{
			"telemetry":           f.IngestOnce(t.Context(), &p, []*hubward.Message{&c.m}),
			"a message to it":     f.SendC2D(t.Context(), "plant", "d1", &c.m),
			"a look at telemetry": hub.CheckTelemetry(&c.m),
		} {
			if c.want == 0 && err != nil || c.want != 0 && (err == nil || hubward.CodeOf(err) != c.want) {
				t.Errorf("%s in %s: %v, want %v", what, way, err, c.want)
			}
		}
	}
}

// A time to live counts from the message's arrival; an expiry that is given counts for more. The device hears of what its
// sender said.
func TestMessageRules_timeToLive(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	expiry := f.clock().Add(2 * time.Minute)
	for _, c := range []struct {
		m    hubward.Message
		want time.Time
	}{
		{hubward.Message{}, time.Time{}}, // the hub's default ends it, and nobody is told
		{hubward.Message{Expiry: time.Unix(-1, 0)}, time.Time{}},
		{hubward.Message{TTL: time.Minute}, f.clock().Add(time.Minute)},
		{hubward.Message{TTL: time.Minute, Expiry: expiry}, expiry},
	} {
		if err := f.SendC2D(t.Context(), "plant", "d1", &c.m); err != nil {
			t.Fatal(err)
		}
		d, err := f.TakeC2D(t.Context(), "plant", "d1", 0)
		if err != nil || d == nil || !d.Message.Expiry.Equal(c.want) {
			t.Errorf("%+v: %+v, %v", c.m, d, err)
		}
	}
	wantCode(t, "three days", f.SendC2D(t.Context(), "plant", "d1", &hubward.Message{TTL: 72 * time.Hour}), hubward.CodeArgumentInvalid)
}
