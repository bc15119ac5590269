package sysprops_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/sysprops"
)

var (
	places = []sysprops.Place{sysprops.MQTT, sysprops.HTTPS, sysprops.AMQPProperties, sysprops.AMQPAnnotation, sysprops.AMQPApplication}
	ways   = []sysprops.Way{sysprops.FromDevice, sysprops.ToReader, sysprops.FromService, sysprops.ToDevice}
)

// Each text of a message is a property of its own, and Expiry is the only property that is no text.
func TestText_isEveryFieldOfAMessage(t *testing.T) {
	var m hubward.Message
	v := reflect.ValueOf(&m).Elem()
	fields := map[*string]bool{}
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			fields[(*string)(v.Field(i).Addr().UnsafePointer())] = false
		}
	}
	for p := sysprops.None + 1; p <= sysprops.Ack; p++ {
		field := p.Text(&m)
		if field == nil && p == sysprops.Expiry {
			continue
		}
		if seen, ok := fields[field]; !ok || seen {
			t.Errorf("property %d is no field of a message, or the field of two", p)
		}
		fields[field] = true
	}
	for field, seen := range fields {
		if !seen {
			t.Errorf("the field at %p is no property", field)
		}
	}
	if sysprops.None.Text(&m) != nil {
		t.Error("none is a field")
	}
}

func TestFind_knowsTheTable(t *testing.T) {
	for _, place := range places {
		for _, way := range ways {
			names := sysprops.Known(place, way)
			known := map[string]sysprops.Property{}
			for _, r := range sysprops.Table() {
				name := r.Name
				if place == sysprops.HTTPS {
					name = strings.ToLower(name)
				}
				if r.Place != place || r.Ways&way == 0 {
					continue
				}
				if _, twice := known[name]; twice {
					t.Errorf("place %d, way %d: %s stands there twice", place, way, name)
				}
				known[name] = r.Property
				if got := names.Find(name); got != r.Property {
					t.Errorf("place %d, way %d: %s is found as %d, not %d", place, way, name, got, r.Property)
				}
			}
			for _, r := range sysprops.Table() {
				for _, other := range []string{r.Name, r.Name + "x", r.Name[1:], r.Name[:len(r.Name)-1]} {
					if place == sysprops.HTTPS {
						other = strings.ToLower(other)
					}
					if got := names.Find(other); got != known[other] {
						t.Errorf("place %d, way %d: %q is found as %d", place, way, other, got)
					}
				}
			}
			if got := names.Find(""); got != sysprops.None {
				t.Errorf("place %d, way %d: the empty name is found as %d", place, way, got)
			}
		}
	}
}

func TestFind_anyOfSeveralWays(t *testing.T) {
	names := sysprops.Known(sysprops.MQTT, sysprops.FromDevice|sysprops.ToDevice)
	for name, want := range map[string]sysprops.Property{"$.ifid": sysprops.InterfaceID, "iothub-ack": sysprops.Ack, "$.ack": sysprops.None} {
		if got := names.Find(name); got != want {
			t.Errorf("%s is found as %d", name, got)
		}
	}
}

func TestWritten(t *testing.T) {
	rows := []struct {
		place sysprops.Place
		way   sysprops.Way
		want  string
	}{
		{sysprops.MQTT, sysprops.FromDevice, "$.on $.mid $.cid $.uid $.to $.ct $.ce $.ctime $.ifid $.exp $.sub $.schema $.diagid $.diagctx"},
		{sysprops.MQTT, sysprops.ToDevice, "$.exp $.cid $.mid $.to $.uid $.ct $.ce $.ctime iothub-ack"},
		{sysprops.HTTPS, sysprops.FromDevice, "iothub-messageid iothub-correlationid iothub-userid iothub-to iothub-contenttype iothub-contentencoding " +
			"iothub-creationtimeutc iothub-expiry iothub-ack iothub-interface-id iothub-messageschema dt-subject"},
		{sysprops.HTTPS, sysprops.ToDevice, "iothub-messageid iothub-correlationid iothub-userid iothub-to ContentType ContentEncoding iothub-expiry iothub-ack"},
		{sysprops.AMQPAnnotation, sysprops.ToReader, "dt-subject iothub-interface-id iothub-outputname Diagnostic-Id Correlation-Context"},
		{sysprops.AMQPApplication, sysprops.ToReader, "iothub-creation-time-utc iothub-message-schema"},
		{sysprops.AMQPApplication, sysprops.ToDevice, "iothub-ack"},
	}
	for _, r := range rows {
		var got []string
		for _, n := range sysprops.Written(r.place, r.way) {
			got = append(got, n.Text)
		}
		if diff := cmp.Diff(r.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("place %d, way %d: (-want +got)\n%s", r.place, r.way, diff)
		}
	}
}

func TestSectionOf(t *testing.T) {
	want := map[int]sysprops.Name{
		0: {sysprops.MessageID, "message-id"}, 1: {sysprops.UserID, "user-id"}, 2: {sysprops.To, "to"},
		3: {sysprops.None, "subject"}, 4: {sysprops.None, "reply-to"}, 5: {sysprops.CorrelationID, "correlation-id"},
		6: {sysprops.ContentType, "content-type"}, 7: {sysprops.ContentEncoding, "content-encoding"},
		8: {sysprops.Expiry, "absolute-expiry-time"}, 9: {sysprops.CreationTime, "creation-time"},
	}
	compare := func(ways sysprops.Way) {
		t.Helper()
		section := sysprops.SectionOf(ways)
		for i := range 20 {
			if got := section.At(i); got != want[i] {
				t.Errorf("ways %d: field %d is %v, not %v", ways, i, got, want[i])
			}
		}
	}
	compare(sysprops.ToDevice)
	compare(sysprops.FromDevice | sysprops.FromService)
	delete(want, 9) // when its sender made it stands elsewhere
	compare(sysprops.FromDevice)
	want[2] = sysprops.Name{Text: "to"} // what readers see is not where it went
	compare(sysprops.ToReader)
}

func TestValue(t *testing.T) {
	m := &hubward.Message{MessageID: "m", Expiry: time.Date(2026, 1, 29, 16, 45, 39, 21e6, time.UTC)}
	for p, want := range map[sysprops.Property]string{
		sysprops.MessageID: "m", sysprops.To: "", sysprops.Expiry: "2026-01-29T16:45:39.0210000Z", sysprops.None: "",
	} {
		if got := p.Value(m); got != want {
			t.Errorf("property %d is %q, not %q", p, got, want)
		}
	}
	if got := sysprops.Expiry.Value(&hubward.Message{}); got != "" {
		t.Errorf("no expiry is %q", got)
	}
}

func TestFind_doesNotAllocate(t *testing.T) {
	names := sysprops.Known(sysprops.MQTT, sysprops.FromDevice)
	var m hubward.Message
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range looked {
			if field := names.Find(name).Text(&m); field != nil {
				*field = name
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// looked are names as a device sends them, most of them its application's.
var looked = []string{"$.mid", "$.ct", "$.ce", "temperatureAlert", "runId", "windAlert", "line", "unit", "site"}

func BenchmarkFind(b *testing.B) {
	names := sysprops.Known(sysprops.MQTT, sysprops.FromDevice)
	found := 0
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range looked {
			if names.Find(name) != sysprops.None {
				found++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(looked)), "ns/name")
}
