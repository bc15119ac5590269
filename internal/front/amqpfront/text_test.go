package amqpfront_test

import (
	"bytes"
	"encoding/base64"
	"net"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// marker turns into noUTF8, which is as long, on its way. It has no place in the names that the client makes up, or in keys.
const (
	marker = "!spoil"
	noUTF8 = "\xff\xfe\xff\xfe\xff\xfe"
)

// spoiler is a connection on which marker turns into bytes that are no UTF-8: the client would refuse to write them.
type spoiler struct{ net.Conn }

func (c spoiler) Write(b []byte) (int, error) {
	return c.Conn.Write(bytes.ReplaceAll(b, []byte(marker), []byte(noUTF8)))
}

// spoilt connects by a spoiler.
func (f *fixture) spoilt(o amqp.ConnOptions) *peer {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.listen())
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := newPeer(f.t, spoiler{nc}, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// Readers drop their connection over a text that is no UTF-8, so no text of a message is taken that is none, on either way.
// Observed with Qpid Proton as the reader.
func TestMessages_textThatIsNoUTF8(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	d := f.createDevice("d1")
	device := f.spoilt(amqp.ConnOptions{})
	if code, text := device.putToken(f.deviceToken(d)); code != 200 {
		t.Fatal(code, text)
	}
	telemetry := device.mustSend(telemetryOf("d1"))
	owner := f.spoilt(amqp.ConnOptions{SASLType: amqp.SASLTypePlain("iothubowner", f.policyKey("iothubowner"))})
	c2d := owner.mustSend("/messages/devicebound")
	with := func(p amqp.MessageProperties) *amqp.Message {
		return &amqp.Message{Properties: &p, Data: [][]byte{{1}}}
	}
	for what, m := range map[string]func() *amqp.Message{
		"a message id":       func() *amqp.Message { return with(amqp.MessageProperties{MessageID: marker}) },
		"a correlation id":   func() *amqp.Message { return with(amqp.MessageProperties{CorrelationID: marker}) },
		"a content type":     func() *amqp.Message { return with(amqp.MessageProperties{ContentType: ptr(marker)}) },
		"a content encoding": func() *amqp.Message { return with(amqp.MessageProperties{ContentEncoding: ptr(marker)}) },
		"a property's name": func() *amqp.Message {
			return &amqp.Message{ApplicationProperties: map[string]any{marker: "v"}, Data: [][]byte{{1}}}
		},
		"a property's value": func() *amqp.Message {
			return &amqp.Message{ApplicationProperties: map[string]any{"n": marker}, Data: [][]byte{{1}}}
		},
	} {
		wantCondition(t, what+" of telemetry", send(t, telemetry, m()), "com.microsoft:argument-error")
		wantCondition(t, what+" of a message to a device", send(t, c2d, to("d1", m())), "com.microsoft:argument-error")
	}
	component := &amqp.Message{Annotations: amqp.Annotations{"dt-subject": marker}, Data: [][]byte{{1}}}
	wantCondition(t, "an annotation of telemetry", send(t, telemetry, component), "com.microsoft:argument-error")
	// Binary values are no texts: they are base64.
	want := base64.StdEncoding.EncodeToString([]byte(noUTF8))
	binary := with(amqp.MessageProperties{UserID: []byte(marker)})
	binary.ApplicationProperties = map[string]any{"n": []byte(marker)}
	if err := send(t, telemetry, binary); err != nil {
		t.Error(err)
	}
	if err := send(t, c2d, to("d1", binary)); err != nil {
		t.Error(err)
	}
	if m := f.events("d1")[0].Message; m.UserID != want || m.Properties[0].Value != want {
		t.Errorf("%+v", m)
	}
	if m := f.take("d1"); m.UserID != want || m.Properties[0].Value != want {
		t.Errorf("%+v", m)
	}
}
