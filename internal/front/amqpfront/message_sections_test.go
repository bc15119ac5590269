package amqpfront_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

// sections are those of one message, each encoded, in the order of AMQP 1.0 part 3 §3.2.
func sections(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, m := range []amqpwire.Message{
		{Header: &amqpwire.Header{TTL: time.Minute}},
		{DeliveryAnnotations: amqpwire.Map{{Key: amqpwire.Symbol("d"), Value: "d"}}},
		{Annotations: amqpwire.Map{{Key: amqpwire.Symbol("iothub-interface-id"), Value: "urn:azureiot:Security:SecurityAgent:1"}}},
		{Properties: &amqpwire.Properties{MessageID: "m1", To: "/devices/d1/messages/devicebound"}},
		{ApplicationProperties: amqpwire.Map{{Key: "k", Value: "v"}}},
		{Data: [][]byte{[]byte("body")}},
		{Footer: amqpwire.Map{{Key: amqpwire.Symbol("f"), Value: "f"}}},
	} {
		b, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// permutations calls f with all with its elements in every order.
func permutations(all [][]byte, f func([][]byte)) {
	var from func(n int)
	from = func(n int) {
		if n == len(all) {
			f(all)
			return
		}
		for i := n; i < len(all); i++ {
			all[n], all[i] = all[i], all[n]
			from(n + 1)
			all[n], all[i] = all[i], all[n]
		}
	}
	from(0)
}

// A message is the same whatever the order of its sections: the C SDK puts annotations behind application properties.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c.
func TestReadMessage_sectionsInAnyOrder(t *testing.T) {
	for _, toHub := range []bool{true, false} {
		want, err := amqpfront.ReadMessage(bytes.Join(sections(t), nil), toHub)
		if err != nil {
			t.Fatal(err)
		}
		if want.MessageID != "m1" || want.TTL != time.Minute || len(want.Properties) != 1 || string(want.Body) != "body" {
			t.Fatalf("%+v", want)
		}
		permutations(sections(t), func(all [][]byte) {
			if got, err := amqpfront.ReadMessage(bytes.Join(all, nil), toHub); err != nil || !cmp.Equal(want, got) {
				t.Errorf("%x: %v, %+v", all, err, got)
			}
		})
	}
}

func TestReadMessage_sectionsOnce(t *testing.T) {
	all := sections(t)
	const body = 5
	for n, s := range all {
		twice := bytes.Join(append(slices.Clone(all), s), nil)
		if _, err := amqpfront.ReadMessage(twice, true); (err == nil) != (n == body) {
			t.Errorf("section %d twice: %v", n, err)
		}
	}
	value, err := (&amqpwire.Message{Value: "v", HasValue: true}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"two kinds of body": bytes.Join([][]byte{all[body], all[0], value}, nil),
		"two values":        bytes.Join([][]byte{value, all[0], value}, nil),
		"no section":        append(bytes.Join(all, nil), 0x00, 0x53, 0x79, 0x40),
		"a performative":    append(bytes.Join(all, nil), 0x00, 0x53, 0x14, 0x45),
	} {
		if _, err := amqpfront.ReadMessage(b, true); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	parts := bytes.Join([][]byte{all[body], all[4], all[body]}, nil)
	if m, err := amqpfront.ReadMessage(parts, true); err != nil || string(m.Body) != "bodybody" {
		t.Errorf("data in two places: %+v, %v", m, err)
	}
}

// A security message as the C SDK sends it: a batch of one, its annotations behind its application properties.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c, create_message_batch.
func TestTelemetry_securityMessage(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	all := sections(t)
	inside := bytes.Join([][]byte{all[3], all[4], all[2], all[5]}, nil)
	if err := send(t, s, &amqp.Message{Format: 0x80013700, Data: [][]byte{inside, inside}}); err != nil {
		t.Fatal(err)
	}
	events := f.events("d1")
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	for _, e := range events {
		want := hubward.Properties{{Name: "k", Value: "v"}}
		if m := e.Message; m.InterfaceID != "urn:azureiot:Security:SecurityAgent:1" || m.MessageID != "m1" || string(m.Body) != "body" || !cmp.Equal(m.Properties, want) {
			t.Errorf("%+v", m)
		}
	}
}
