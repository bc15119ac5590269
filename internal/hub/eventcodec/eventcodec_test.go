package eventcodec_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

const authMethod = `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`

var arrived = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func origin() eventcodec.Origin {
	return eventcodec.Origin{
		Identity: hubward.Identity{Device: "d1"}, Generation: "638700000000000000", AuthMethod: authMethod,
		Source: eventcodec.SourceTelemetry,
	}
}

func fullMessage() hubward.Message {
	return hubward.Message{
		MessageID: "m-1", CorrelationID: "c-1", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8",
		CreationTime: "2026-01-02T03:04:05Z", Expiry: arrived.Add(time.Hour), OutputName: "out", InterfaceID: "urn:i",
		Subject: "thermostat", Schema: "s", TraceID: "t", TraceContext: "k=v",
		Properties: []hubward.Property{{Name: "a", Value: "b"}, {Name: "null", Null: true}, {Name: "empty"}, {Name: "long", Value: strings.Repeat("x", 300)}},
		Body:       []byte(`{"windSpeed":12.3}`),
	}
}

func TestDecode_givesBackWhatWasAppended(t *testing.T) {
	messages := map[string]hubward.Message{
		"bare":       {Body: []byte("x")},
		"empty body": {},
		"full":       fullMessage(),
		"id only":    {MessageID: "m", Body: []byte("x")},
		"large body": {Body: bytes.Repeat([]byte("x"), 70_000)},
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			o := origin()
			o.ModelID, o.Identity.Module = "dtmi:x;1", "mod"
			data := eventcodec.Append(nil, eventcodec.NewStamps(o), arrived, &m)
			got, err := eventcodec.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			want := &hubward.Event{
				DeviceID: "d1", ModuleID: "mod", GenerationID: o.Generation, AuthMethod: authMethod, HubEnqueued: arrived,
				MessageSource: "Telemetry", ModelID: "dtmi:x;1", Message: m,
			}
			if want.Message.Body == nil {
				want.Message.Body = []byte{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if id, err := eventcodec.DeviceID(data); err != nil || string(id) != "d1" {
				t.Errorf("DeviceID = %q, %v", id, err)
			}
		})
	}
}

// The bytes of a record are a disk format: this one was written down by hand from AMQP 1.0 part 1 §1.6 and part 3.
func TestAppend_format(t *testing.T) {
	o := eventcodec.Origin{Identity: hubward.Identity{Device: "d"}, Source: "Telemetry"}
	m := hubward.Message{MessageID: "m", Body: []byte("hi")}
	got := eventcodec.Append(nil, eventcodec.NewStamps(o), time.UnixMilli(0x0102030405).UTC(), &m)
	want := "\x01" + "\x03" + "\x60" + // version, three annotations, 96 bytes
		"\xa3\x1biothub-connection-device-id" + "\xa1\x01d" +
		"\xa3\x15iothub-message-source" + "\xa1\x09Telemetry" +
		"\xa3\x13iothub-enqueuedtime" + "\x83\x00\x00\x00\x01\x02\x03\x04\x05" +
		"\x00\x53\x73" + "\xd0\x00\x00\x00\x07\x00\x00\x00\x01" + "\xa1\x01m" + // properties: a list of one
		"\x00\x53\x75" + "\xa0\x02hi" // data
	if string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// Where telemetry goes is no choice of its sender: "to" is read, and not kept.
func TestAppend_leavesOutTo(t *testing.T) {
	m := fullMessage()
	without := eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &m)
	m.To = "/devices/d1/messages/events"
	if with := eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &m); !bytes.Equal(with, without) {
		t.Errorf("got  %q\nwant %q", with, without)
	}
	bare := eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &hubward.Message{To: "x"})
	if e, err := eventcodec.Decode(bare); err != nil || e.Message.To != "" {
		t.Errorf("%+v, %v", e, err)
	}
}

// Content type and encoding travel as symbols, which readers take for ASCII.
func TestAppend_percentEncodesWhatNoSymbolHolds(t *testing.T) {
	m := hubward.Message{MessageID: "ü", ContentType: "text/plain; title=50%-Müll€", ContentEncoding: "\xff", Body: []byte("ü")}
	e, err := eventcodec.Decode(eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &m))
	if err != nil {
		t.Fatal(err)
	}
	m.ContentType, m.ContentEncoding = "text/plain; title=50%-M%C3%BCll%E2%82%AC", "%FF"
	if diff := cmp.Diff(m, e.Message); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDecode_refusesOtherBytes(t *testing.T) {
	whole := eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &hubward.Message{MessageID: "m", Body: []byte("body")})
	rows := map[string][]byte{"nothing": nil, "version 2": append([]byte{2}, whole[1:]...), "cut": whole[:len(whole)-1], "version alone": {1}}
	for name, data := range rows {
		if e, err := eventcodec.Decode(data); err == nil {
			t.Errorf("%s: decoded to %+v", name, e)
		}
	}
}

func TestAppend_doesNotAllocate(t *testing.T) {
	m, stamps := fullMessage(), eventcodec.NewStamps(origin())
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = eventcodec.Append(buf[:0], stamps, arrived, &m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	m := fullMessage()
	f.Add(eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &m))
	f.Add(eventcodec.Append(nil, eventcodec.NewStamps(origin()), arrived, &hubward.Message{}))
	f.Add([]byte{1, 0, 0, 0, 0x53, 0x74, 0xd1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := eventcodec.Decode(data)
		if err != nil {
			return
		}
		if n := e.Message.Size(); n > len(data) {
			t.Fatalf("%d bytes became a message of %d", len(data), n)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	m := hubward.Message{Body: bytes.Repeat([]byte("x"), 256)}
	stamps := eventcodec.NewStamps(origin())
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = eventcodec.Append(buf[:0], stamps, arrived, &m)
	}
}
