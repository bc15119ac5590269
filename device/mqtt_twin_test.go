package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

// The filters of twins and methods.
const (
	twinFilter    = "$iothub/twin/res/#"
	desiredFilter = "$iothub/twin/PATCH/properties/desired/#"
	methodFilter  = "$iothub/methods/POST/#"
)

// grants reads SUBSCRIBE, which must have those filters, and grants them.
func (p *peer) grants(filters ...string) {
	p.t.Helper()
	_, body := p.next(mqttwire.Subscribe)
	packet, err := mqttwire.ParseSubscribe(body)
	if err != nil {
		p.t.Fatal(err)
	}
	var want []mqttwire.Filter
	for _, f := range filters {
		want = append(want, mqttwire.Filter{Topic: f})
	}
	if diff := cmp.Diff(want, packet.Filters); diff != "" {
		p.t.Errorf("SUBSCRIBE (-want +got):\n%s", diff)
	}
	p.send(mqttwire.AppendSuback(nil, packet.ID, make([]byte, len(filters))...))
}

// tell sends what is no message to the device.
func (p *peer) tell(topic, body string) {
	p.t.Helper()
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{Topic: []byte(topic), Payload: []byte(body)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(packet)
}

// asked reads a request, which must have that topic, and returns its id and body.
func (p *peer) asked(topic string) (id, body string) {
	p.t.Helper()
	packet := p.publish()
	id, ok := strings.CutPrefix(string(packet.Topic), topic+"/?$rid=")
	if !ok || id == "" || strings.ContainsAny(id, "&=/?") || packet.QoS != 0 {
		p.t.Fatalf("the client sent to %s by QoS %d, want %s", packet.Topic, packet.QoS, topic)
	}
	return id, string(packet.Payload)
}

func (p *peer) askedForTwin() (id string) {
	p.t.Helper()
	id, body := p.asked("$iothub/twin/GET")
	if body != "" {
		p.t.Errorf("the request has the body %q", body)
	}
	return id
}

func (p *peer) askedForPatch(want string) (id string) {
	p.t.Helper()
	id, body := p.asked("$iothub/twin/PATCH/properties/reported")
	if body != want {
		p.t.Errorf("the patch is %s, want %s", body, want)
	}
	return id
}

func (p *peer) answersTwin(id, desired string) {
	p.t.Helper()
	p.tell("$iothub/twin/res/200/?$rid="+id, `{"desired":`+desired+`,"reported":{"$version":1}}`)
}

// version is the outcome of UpdateReported.
type version struct {
	n   int64
	err error
}

func report(ctx context.Context, c *device.Client, patch any) <-chan version {
	result := make(chan version, 1)
	go func() {
		n, err := c.UpdateReported(ctx, patch)
		result <- version{n, err}
	}()
	return result
}

func getTwin(ctx context.Context, c *device.Client) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.Twin(ctx)
		result <- err
	}()
	return result
}

func TestTwin_asksAndReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		var twin *device.Twin
		var err error
		done := make(chan bool)
		go func() { twin, err = client.Twin(t.Context()); close(done) }()
		p.grants(twinFilter)
		id := p.askedForTwin()
		p.tell("$iothub/twin/res/200/?$rid="+id, `{"desired":{"big":9007199254740993,"a":"<&>","$metadata":{},"$version":4},"reported":{"$version":9, "fw": "1.2"}}`)
		<-done
		if err != nil {
			t.Fatal(err)
		}
		want := &device.Twin{
			Desired:  device.TwinProperties{JSON: json.RawMessage(`{"a":"<&>","big":9007199254740993}`), Version: 4},
			Reported: device.TwinProperties{JSON: json.RawMessage(`{"fw":"1.2"}`), Version: 9},
		}
		if diff := cmp.Diff(want, twin); diff != "" {
			t.Errorf("twin (-want +got):\n%s", diff)
		}
		var typed struct {
			Big int64
			A   any
		}
		if err := twin.Desired.Decode(&typed); err != nil || typed.Big != 9007199254740993 || typed.A != "<&>" {
			t.Errorf("decoded as %+v, %v", typed, err)
		}
		var loose map[string]any
		if err := twin.Desired.Decode(&loose); err != nil || loose["big"] != json.Number("9007199254740993") {
			t.Errorf("decoded as %v, %v", loose, err)
		}
		n.shut(client, p)
	})
}

func TestTwin_answerThatIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"empty":            "",
		"no JSON":          "{",
		"no sections":      "{}",
		"sections of text": `{"desired":"a","reported":"b"}`,
		"no version":       `{"desired":{"a":1},"reported":{"$version":1}}`,
		"version of text":  `{"desired":{"$version":1},"reported":{"$version":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				client, p := n.connected(device.Options{})
				result := getTwin(t.Context(), client)
				p.grants(twinFilter)
				p.tell("$iothub/twin/res/200/?$rid="+p.askedForTwin(), body)
				if err := <-result; err == nil {
					t.Error("no error")
				}
				n.shut(client, p)
			})
		})
	}
}

func TestUpdateReported_sendsPatches(t *testing.T) {
	type reading struct {
		Value float64 `json:"value"`
		Gone  *int    `json:"gone"`
	}
	rows := []struct {
		patch any
		want  string
	}{
		{map[string]any{"fw": "1.2", "old": nil, "html": "<&>"}, `{"fw":"1.2","html":"<&>","old":null}`},
		{reading{Value: 1.5}, `{"value":1.5,"gone":null}`},
		{&reading{}, `{"value":0,"gone":null}`},
		{json.RawMessage(" {\"n\": 1.0E2} "), " {\"n\": 1.0E2} "},
		{map[string]any{}, `{}`},
		{map[string]any{"c1": map[string]any{"__t": "c", "max": 38}}, `{"c1":{"__t":"c","max":38}}`},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		for i, row := range rows {
			result := report(t.Context(), client, row.patch)
			if i == 0 {
				p.grants(twinFilter)
			}
			id := p.askedForPatch(row.want)
			p.tell(fmt.Sprintf("$iothub/twin/res/204/?$rid=%s&$version=%d", id, i+2), "")
			if got := <-result; got.err != nil || got.n != int64(i+2) {
				t.Errorf("%s: version %d, %v", row.want, got.n, got.err)
			}
		}
		n.shut(client, p)
	})
}

func TestTwin_answersInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		a := report(t.Context(), client, json.RawMessage(`{"a":1}`))
		p.grants(twinFilter)
		ida := p.askedForPatch(`{"a":1}`)
		b := report(t.Context(), client, json.RawMessage(`{"b":1}`))
		idb := p.askedForPatch(`{"b":1}`)
		p.tell("$iothub/twin/res/204/?$rid=other&$version=99", "")
		p.tell("$iothub/twin/res/204/?$rid="+idb+"&$version=3", "")
		if got := <-b; got.n != 3 || got.err != nil {
			t.Errorf("b: %+v", got)
		}
		p.tell("$iothub/twin/res/204/?$rid="+idb+"&$version=77", "") // twice
		p.tell("$iothub/twin/res/200/?$rid="+ida, "")                // without a version, as some say
		if got := <-a; got.n != 0 || got.err != nil {
			t.Errorf("a: %+v", got)
		}
		n.shut(client, p)
	})
}

func TestTwin_errors(t *testing.T) {
	rows := []struct {
		status int
		body   string
		code   hubward.Code
		text   string
	}{
		{400, `{"errorCode":400004,"trackingId":"x","message":"properties.reported.a is not right","timestampUtc":"t"}`, hubward.CodeArgumentInvalid, "properties.reported.a is not right"},
		{400, `{"errorCode":400006,"message":"no JSON"}`, hubward.CodeFormatError, "no JSON"},
		{400, ``, hubward.CodeArgumentInvalid, "status 400"},
		{412, ``, hubward.CodePreconditionFailed, "status 412"},
		{413, `text`, hubward.CodeMessageTooLarge, "status 413"},
		{429, `{"errorCode":500001}`, hubward.CodeThrottled, "status 429"},
		{503, `[]`, hubward.CodeServiceUnavailable, "status 503"},
		{418, ``, 418000, "status 418"},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		for i, row := range rows {
			result := report(t.Context(), client, json.RawMessage(`{}`))
			if i == 0 {
				p.grants(twinFilter)
			}
			p.tell(fmt.Sprintf("$iothub/twin/res/%d/?$rid=%s", row.status, p.askedForPatch(`{}`)), row.body)
			if got := <-result; hubward.CodeOf(got.err) != row.code || !strings.Contains(got.err.Error(), row.text) {
				t.Errorf("%d %s: %v", row.status, row.body, got.err)
			}
		}
		n.shut(client, p)
	})
}

// What is not answered when the connection is lost is sent again, in its order, except for those whose callers have left.
func TestTwin_sentAgainAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		answered := report(t.Context(), client, json.RawMessage(`{"n":0}`))
		p.grants(twinFilter)
		id := p.askedForPatch(`{"n":0}`)
		leaving, leave := context.WithCancel(t.Context())
		gone := report(leaving, client, json.RawMessage(`{"n":1}`))
		p.askedForPatch(`{"n":1}`)
		second := report(t.Context(), client, json.RawMessage(`{"n":2}`))
		p.askedForPatch(`{"n":2}`)
		third := getTwin(t.Context(), client)
		p.askedForTwin()
		p.tell("$iothub/twin/res/204/?$rid="+id+"&$version=5", "")
		<-answered
		leave()
		if got := <-gone; !errors.Is(got.err, context.Canceled) {
			t.Errorf("the one that left: %v", got.err)
		}
		p = n.reconnect(p)
		p.grants(twinFilter)
		p.tell("$iothub/twin/res/204/?$rid="+p.askedForPatch(`{"n":2}`)+"&$version=8", "")
		if got := <-second; got.n != 8 || got.err != nil {
			t.Errorf("sent again: %+v", got)
		}
		p.answersTwin(p.askedForTwin(), `{"$version":1}`)
		if err := <-third; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

// A request has no answer before the hub has taken the subscription to the answers.
func TestTwin_waitsForTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		result := getTwin(t.Context(), client)
		_, body := p.next(mqttwire.Subscribe)
		packet, err := mqttwire.ParseSubscribe(body)
		if err != nil {
			t.Fatal(err)
		}
		p.nc.SetReadDeadline(time.Now().Add(time.Second))
		if h, _, err := readPacket(p.in); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the client sent %v, %v", h.Type, err)
		}
		p.nc.SetReadDeadline(time.Time{})
		p.send(mqttwire.AppendSuback(nil, packet.ID, 0))
		p.answersTwin(p.askedForTwin(), `{"$version":1}`)
		if err := <-result; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestTwin_refusedSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		result := getTwin(t.Context(), client)
		_, body := p.next(mqttwire.Subscribe)
		packet, err := mqttwire.ParseSubscribe(body)
		if err != nil {
			t.Fatal(err)
		}
		p.send(mqttwire.AppendSuback(nil, packet.ID, 0x80))
		if err := <-result; hubward.CodeOf(err) != hubward.CodeInvalidOperation || !strings.Contains(err.Error(), "refused the subscription") {
			t.Errorf("the error is %v", err)
		}
		p.gone()
		p = <-n.peers
		p.login()
		p.grants(twinFilter)
		n.shut(client, p)
	})
}

func TestTwin_endsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		result := getTwin(t.Context(), client)
		p.grants(twinFilter)
		p.askedForTwin()
		n.shut(client, p)
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the error is %v", err)
		}
	})
}

func FuzzReadAnswerTopic(f *testing.F) {
	f.Add("$iothub/twin/res/200/?$rid=a")
	f.Add("$iothub/twin/res/204/?$rid=a&$version=3")
	f.Add("$iothub/twin/res/204/?$version=3&$rid=")
	f.Add("$iothub/twin/res/abc?&&=&$rid=b=c")
	f.Fuzz(func(t *testing.T, topic string) {
		status, id, _, ok := device.ReadAnswerTopic("$iothub/twin/res/", topic)
		if ok && (id == "" || status < 100 || status > 999) {
			t.Errorf("%q: %d %q", topic, status, id)
		}
	})
}
