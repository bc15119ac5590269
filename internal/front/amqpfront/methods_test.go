package amqpfront_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

// A call comes as the SDKs need it, whichever way its address is written, and its answer goes back; for modules too.
func TestMethods(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.owner(f.listen())
	for address, id := range map[string]hubward.Identity{
		methodsOf("d1"): d1,
		"amqps://" + host + ":5671/devices/d1/modules/m1/methods/deviceBound": {Device: "d1", Module: "m1"},
	} {
		q := p.methodPair(address)
		seen := map[any]bool{}
		for _, payload := range []string{`{"delay":1}`, "", `""`} {
			call := f.invoke(id, payload)
			got := q.next()
			if payload == "" {
				payload = "null"
			}
			if len(got.Data) != 1 || string(got.Data[0]) != payload || got.Value != nil {
				t.Errorf("%v: %q %v", id, got.Data, got.Value)
			}
			if diff := cmp.Diff(map[string]any{"IoThub-methodname": "reboot"}, got.ApplicationProperties); diff != "" {
				t.Errorf("%v (-want +got):\n%s", id, diff)
			}
			u, ok := got.Properties.CorrelationID.(amqp.UUID)
			if !ok || seen[u] || u[6]>>4 != 8 || u[8]>>6 != 2 {
				t.Errorf("%v: %#v", id, got.Properties.CorrelationID)
			}
			seen[u] = true
			q.answer(got, 200, payload)
			call.want(payload, 200, payload)
		}
	}
}

// What a call looks like on the wire: settled, with a tag of 16 bytes, and not before there is credit. The answer is settled.
func TestMethods_onTheWire(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, methodsOf("d1"))
	c.attach(amqpwire.RoleSender, 2, methodsOf("d1"))
	f.wantNotOnline("without credit", d1)
	c.credit(1, 0, 2)
	for i := range uint32(2) {
		call := f.invoke(d1, `"x"`)
		tr, m := c.message()
		if !tr.Settled || len(tr.DeliveryTag) != 16 {
			t.Errorf("%+v", tr)
		}
		c.transfer(2, i, &amqpwire.Message{
			Properties: m.Properties, ApplicationProperties: amqpwire.Map{{Key: "IoThub-status", Value: int32(200)}}, Data: m.Data,
		})
		c.wantAccepted(i)
		call.want("on the wire", 200, `"x"`)
	}
}

// A device takes methods from its first credit until the last of its links has ended. Its newest link that has credit gets
// the calls; answers may come on any.
func TestMethods_onlineWhileALinkTakesThem(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	const older, responses, newer, telemetry = 1, 2, 3, 4
	c.attach(amqpwire.RoleSender, responses, methodsOf("d1"))
	c.attach(amqpwire.RoleSender, telemetry, telemetryOf("d1"))
	f.wantNotOnline("with a link for answers", d1)
	c.attach(amqpwire.RoleReceiver, older, methodsOf("d1"))
	f.wantNotOnline("without credit", d1)
	id := uint32(0)
	call := func(on uint32) {
		t.Helper()
		payload := fmt.Sprint(id)
		call := f.invoke(d1, payload)
		tr, m := c.message()
		if tr.Handle != on {
			t.Errorf("call %s on link %d, want %d", payload, tr.Handle, on)
		}
		m.ApplicationProperties = amqpwire.Map{{Key: "IoThub-status", Value: int32(200)}}
		c.transfer(responses, id, m)
		c.wantAccepted(id)
		call.want(payload, 200, payload)
		id++
	}
	barrier := func() { // what was written before has come
		t.Helper()
		c.transfer(telemetry, id, &amqpwire.Message{Data: [][]byte{nil}})
		c.wantAccepted(id)
		id++
	}
	c.credit(older, 0, 10)
	barrier()
	call(older)
	c.attach(amqpwire.RoleReceiver, newer, methodsOf("d1"))
	call(older)
	c.credit(newer, 0, 1)
	barrier()
	call(newer)
	call(older) // which has credit
	c.credit(newer, 1, 10)
	barrier()
	call(newer)
	c.send((&amqpwire.Detach{Handle: newer, Closed: true}).Append)
	c.until(amqpwire.CodeDetach)
	call(older)
	c.send((&amqpwire.Detach{Handle: older, Closed: true}).Append)
	c.until(amqpwire.CodeDetach)
	barrier()
	f.wantNotOnline("without a link", d1)
	c.attach(amqpwire.RoleReceiver, older, methodsOf("d1"))
	c.credit(older, 0, 10)
	call(older)
}

// Answers are matched by their ids alone, in whatever order they come and whatever type their ids have.
func TestMethods_answersInAnyOrder(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	q := f.owner(f.listen()).methodPair(methodsOf("d1"))
	calls := map[string]*invocation{}
	for i := range 100 {
		payload := fmt.Sprint(i)
		calls[payload] = f.invoke(d1, payload)
	}
	var got []*amqp.Message
	for range calls {
		got = append(got, q.next())
	}
	for i, call := range got {
		m := answer(call, int32(i), string(call.GetData()))
		u := call.Properties.CorrelationID.(amqp.UUID)
		switch i % 5 {
		case 1:
			m.Properties.CorrelationID = u.String()
		case 2:
			m.Properties.CorrelationID = strings.ToUpper(u.String())
		case 3:
			m.Properties.CorrelationID = u[:]
		case 4:
			m.Properties.CorrelationID = strings.ReplaceAll(u.String(), "-", "")
		}
		if err := send(t, q.responses, m); err != nil {
			t.Fatal(err)
		}
		payload := string(call.GetData())
		calls[payload].want(payload, i, payload)
	}
}

// Statuses and bodies are taken as clients write them.
func TestMethods_formsOfAnswers(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	q := f.owner(f.listen()).methodPair(methodsOf("d1"))
	long := strings.Repeat("x", hubward.MaxMethodPayload-2)
	good := map[string]struct {
		status  any
		message amqp.Message
		want    int
		payload string
	}{
		"int":                {int32(-1), amqp.Message{Data: [][]byte{[]byte(`1`)}}, -1, "1"},
		"uint":               {uint32(200), amqp.Message{}, 200, "null"},
		"long":               {int64(404), amqp.Message{Data: [][]byte{{}}}, 404, "null"},
		"ubyte":              {uint8(7), amqp.Message{Data: [][]byte{[]byte(`{"a":`), []byte(`1}`)}}, 7, `{"a":1}`},
		"text":               {" 200 ", amqp.Message{Value: `"text"`}, 200, `"text"`},
		"double":             {float64(200), amqp.Message{Value: []byte(`[]`)}, 200, "[]"},
		"decimals":           {200.5, amqp.Message{Data: [][]byte{[]byte(`"` + long + `"`)}}, 200, `"` + long + `"`},
		"decimals, as text":  {"2e2", amqp.Message{}, 200, "null"},
		"null":               {nil, amqp.Message{}, 0, "null"},
		"no number":          {"ok", amqp.Message{}, 0, "null"},
		"no number, nor any": {true, amqp.Message{}, 0, "null"},
	}
	for what, row := range good {
		call := f.invoke(d1, "")
		m := row.message
		m.Properties = &amqp.MessageProperties{CorrelationID: q.next().Properties.CorrelationID}
		m.ApplicationProperties = map[string]any{"IoThub-status": row.status}
		if err := send(t, q.responses, &m); err != nil {
			t.Fatal(what, err)
		}
		call.want(what, row.want, row.payload)
	}
	bad := map[string]amqp.Message{
		"no JSON":           {Data: [][]byte{[]byte(`{`)}},
		"no text":           {Value: map[string]any{"a": 1}},
		"a list":            {Sequence: [][]any{{1}}},
		"one byte too long": {Data: [][]byte{[]byte(`"x` + long + `"`)}},
	}
	for what, m := range bad {
		call := f.invoke(d1, "")
		m.Properties = &amqp.MessageProperties{CorrelationID: q.next().Properties.CorrelationID}
		m.ApplicationProperties = map[string]any{"IoThub-status": 200}
		if err := send(t, q.responses, &m); err != nil {
			t.Fatal(what, err)
		}
		call.wantCode(what, hubward.CodeBadDeviceResponse)
	}
	call := f.invoke(d1, "")
	m := q.next()
	m = answer(m, 200, "1")
	m.ApplicationProperties["IoThub-status"] = int64(1) << 31
	if err := send(t, q.responses, m); err != nil {
		t.Fatal(err)
	}
	call.wantCode("a status of 33 bits", hubward.CodeBadDeviceResponse)
}

// An answer that is larger than the link takes, by however much, is told to who waits, and the link lives on.
func TestMethods_tooLargeAnswers(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, methodsOf("d1"))
	c.attach(amqpwire.RoleSender, 2, methodsOf("d1"))
	c.credit(1, 0, 10)
	for i, size := range []int{hubward.MaxMethodPayload - 2, hubward.MaxMethodPayload - 1, 163840, 200 << 10, 2 << 20} {
		call := f.invoke(d1, "")
		_, m := c.message()
		m.ApplicationProperties = amqpwire.Map{{Key: "IoThub-status", Value: int32(200)}}
		m.Data = [][]byte{[]byte(`"` + strings.Repeat("x", size) + `"`)}
		c.transfer(2, uint32(i), m)
		c.wantAccepted(uint32(i))
		if i == 0 {
			call.want("just short enough", 200, string(m.Data[0]))
		} else {
			call.wantCode(fmt.Sprint(size), hubward.CodeBadDeviceResponse)
		}
	}
}

// An answer that nobody waits for is accepted, and does nothing: one that comes late, again, or for nobody's call. One that
// cannot be read is rejected.
func TestMethods_answersToNothing(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.createDevice("d2")
	p := f.owner(f.listen())
	q, other := p.methodPair(methodsOf("d1")), p.methodPair(methodsOf("d2"))
	call, others := f.invoke(d1, "1"), f.invoke(hubward.Identity{Device: "d2"}, "2")
	first, second := q.next(), other.next()
	q.answer(second, 500, "the other's")
	q.answer(first, 200, "1")
	q.answer(first, 500, "again")
	other.answer(second, 200, "2")
	call.want("d1", 200, "1")
	others.want("d2", 200, "2")
	for what, properties := range map[string]*amqp.MessageProperties{
		"no properties": nil,
		"no id":         {},
		"a number":      {CorrelationID: uint64(1)},
		"any text":      {CorrelationID: "4c2d"},
		"short":         {CorrelationID: []byte{1}},
		"any uuid":      {CorrelationID: amqp.UUID{1, 2, 3}},
	} {
		m := data("1")
		m.Properties = properties
		if err := send(t, q.responses, m); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := answer(first, 200, "1")
	m.Sequence = [][]any{{"and a second body"}}
	wantCondition(t, "two bodies", send(t, q.responses, m), "amqp:decode-error")
	call = f.invoke(d1, "3")
	q.answer(q.next(), 200, "3")
	call.want("afterwards", 200, "3")
}

// Whoever waits is told when the device goes: its connection breaks, it connects anew, it is deleted.
func TestMethods_endInMidCall(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	ends := map[string]func(p *peer, id string){
		"cut":      func(p *peer, id string) { p.conn.Close() },
		"replaced": func(p *peer, id string) { f.owner(address).mustSend(telemetryOf(id)) },
		"deleted": func(p *peer, id string) {
			if err := f.DeleteDevice(t.Context(), f.process, id, "*"); err != nil {
				t.Error(err)
			}
		},
	}
	for id, end := range maps.All(ends) {
		f.createDevice(id)
		p := f.owner(address)
		q := p.methodPair(methodsOf(id))
		call := f.invoke(hubward.Identity{Device: id}, "1")
		q.next()
		end(p, id)
		call.wantCode(id, hubward.CodeDeviceConnectionClosed)
	}
}

// What a client leaves unread waits for its credit.
func TestMethods_waitForCredit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	q := &methodPair{t, p.mustRead(methodsOf("d1"), "", amqp.ReceiverOptions{Credit: -1}), p.mustSend(methodsOf("d1"))}
	if err := q.requests.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	var calls []*invocation
	for i := range 200 {
		calls = append(calls, f.invoke(d1, fmt.Sprint(i)))
	}
	for i := range calls {
		if i > 0 {
			wantSilence(t, "without credit", q.requests)
			if err := q.requests.IssueCredit(1); err != nil {
				t.Fatal(err)
			}
		}
		got := q.next()
		q.answer(got, 200, string(got.GetData()))
	}
	for i, call := range calls {
		call.want("", 200, fmt.Sprint(i))
	}
}

func FuzzMethodResponse(f *testing.F) {
	for _, m := range []*amqp.Message{
		answer(&amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: amqp.UUID(amqpfront.CallUUID(1 << 40))}}, 200, `{"a":1}`),
		{Value: "x", Properties: &amqp.MessageProperties{CorrelationID: "00000000-0000-8000-8000-000000000001"}},
		{Sequence: [][]any{{1}}, ApplicationProperties: map[string]any{"IoThub-status": "1e300"}},
		{ApplicationProperties: map[string]any{"IoThub-status": 1.5}, Annotations: amqp.Annotations{"a": []byte{1}}},
	} {
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b, true)
		f.Add(b[:len(b)-1], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, truncated bool) {
		id, known, _, payload, err := amqpfront.ReadMethodResponse(b, truncated)
		switch {
		case err != nil:
		case len(payload) > len(b)+1:
			t.Errorf("%d bytes became %d", len(b), len(payload))
		case known:
			m := answer(&amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: amqp.UUID(amqpfront.CallUUID(id))}}, 1, "")
			if b, err := m.MarshalBinary(); err != nil {
				t.Error(err)
			} else if again, ok, _, _, _ := amqpfront.ReadMethodResponse(b, false); !ok || again != id {
				t.Errorf("%d became %d", id, again)
			}
		}
	})
}
