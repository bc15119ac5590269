package device_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

// calls sends a call of a method.
func (p *peer) calls(name, id, payload string) {
	p.t.Helper()
	p.tell("$iothub/methods/POST/"+name+"/?$rid="+id, payload)
}

// answered reads the answer to a call.
func (p *peer) answered() (topic, payload string) {
	p.t.Helper()
	packet := p.publish()
	if packet.QoS != 0 {
		p.t.Errorf("%s came by QoS %d", packet.Topic, packet.QoS)
	}
	return strings.TrimPrefix(string(packet.Topic), "$iothub/methods/res/"), string(packet.Payload)
}

func (p *peer) wantAnswer(topic, payload string) {
	p.t.Helper()
	if t, body := p.answered(); t != topic || body != payload {
		p.t.Errorf("the answer is %s %.200s, want %s %.200s", t, body, topic, payload)
	}
}

// serving makes a connected client with a handler for all methods.
func (n *pipes) serving(opts device.Options, h device.MethodHandler) (*device.Client, *peer) {
	n.t.Helper()
	client, p := n.connected(opts)
	if err := client.HandleMethod("", h); err != nil {
		n.t.Fatal(err)
	}
	p.grants(methodFilter)
	return client, p
}

// echo answers what the payload says: {"status":…,"payload":…} or {"error":…}, or whatever it is with 200.
func echo(_ context.Context, r *device.MethodRequest) (int, any, error) {
	var want struct {
		Status  int
		Payload any
		Error   string
	}
	if r.Decode(&want) != nil || want.Status == 0 && want.Error == "" {
		return 200, r.Payload, nil
	}
	if want.Error != "" {
		return 200, "not sent", errors.New(want.Error)
	}
	return want.Status, want.Payload, nil
}

func TestHandleMethod_answers(t *testing.T) {
	rows := []struct{ name, payload, topic, answer string }{
		{"m", `{"a":1}`, "200", `{"a":1}`},
		{"m", ``, "200", `null`},
		{"m", `null`, "200", `null`},
		{"m", `"text"`, "200", `"text"`},
		{"m", `{"status":418,"payload":{"html":"<&>"}}`, "418", `{"html":"<&>"}`},
		{"m", `{"status":-7}`, "-7", `null`},
		{"m", `{"status":2147483647}`, "2147483647", `null`},
		{"m", `{"status":2147483648}`, "500", `{"error":"the status is 2147483648, which is no number of 32 bits"}`},
		{"m", `{"error":"it is \"stuck\""}`, "500", `{"error":"it is \"stuck\""}`},
		{"m", `{"a":`, "400", `{"error":"the payload is no JSON"}`},
		{"thermostat1*getMaxMinReport", `"2026"`, "200", `"2026"`},
		{"a/b", `1`, "200", `1`},
		{"a%20b", `1`, "200", `1`},
		{"own", `1`, "202", `"own own"`},
		{"panics", `1`, "500", `{"error":"the handler failed"}`},
		{"odd", `1`, "500", `{"error":"json: unsupported type: chan int"}`},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.serving(device.Options{}, echo)
		for name, h := range map[string]device.MethodHandler{
			"own":    func(_ context.Context, r *device.MethodRequest) (int, any, error) { return 202, "own " + r.Name, nil },
			"panics": func(context.Context, *device.MethodRequest) (int, any, error) { panic("secret") },
			"odd":    func(context.Context, *device.MethodRequest) (int, any, error) { return 200, make(chan int), nil },
		} {
			if err := client.HandleMethod(name, h); err != nil {
				t.Fatal(err)
			}
		}
		for i, row := range rows {
			id := fmt.Sprint("r", i)
			p.calls(row.name, id, row.payload)
			p.wantAnswer(row.topic+"/?$rid="+id, row.answer)
		}
		for name, err := range map[string]error{
			"a second handler":                   client.HandleMethod("own", echo),
			"a second handler of all the others": client.HandleMethod("", echo),
		} {
			if hubward.CodeOf(err) != hubward.CodeInvalidOperation {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := client.HandleMethod("x", nil); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("no handler: %v", err)
		}
		n.shut(client, p)
	})
}

// A caller of a method that nobody handles does not wait in vain, whoever has subscribed.
func TestHandleMethod_nobodyHandlesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		p.calls("m", "1", `{}`) // an earlier program of the device has left its subscription
		p.wantAnswer("501/?$rid=1", `{"error":"there is no method \"m\""}`)
		if err := client.HandleMethod("other", echo); err != nil {
			t.Fatal(err)
		}
		p.grants(methodFilter)
		p.calls("m", "2", `{}`)
		p.wantAnswer("501/?$rid=2", `{"error":"there is no method \"m\""}`)
		p.tell("$iothub/methods/POST/m", "")       // no id
		p.tell("$iothub/methods/POST/?$rid=3", "") // no name
		p.calls("other", "4", `{}`)
		p.wantAnswer("200/?$rid=4", `{}`)
		n.shut(client, p)
	})
}

// By QoS 1 the hub sends when an earlier program has subscribed so.
func TestHandleMethod_acknowledgesQoS1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.serving(device.Options{}, func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			time.Sleep(time.Second)
			return echo(ctx, r)
		})
		packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 9, Topic: []byte("$iothub/methods/POST/m/?$rid=1"), Payload: []byte("1")})
		if err != nil {
			t.Fatal(err)
		}
		p.send(packet)
		p.acknowledged(9)
		p.wantAnswer("200/?$rid=1", "1")
		n.shut(client, p)
	})
}

func TestHandleMethod_sizeOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		var size int
		client, p := n.serving(device.Options{}, func(context.Context, *device.MethodRequest) (int, any, error) {
			return 200, strings.Repeat("x", size-2), nil
		})
		for i, row := range []struct {
			size  int
			topic string
		}{{hubward.MaxMethodPayload - 1, "200"}, {hubward.MaxMethodPayload, "200"}, {hubward.MaxMethodPayload + 1, "500"}} {
			size = row.size
			p.calls("m", fmt.Sprint(i), `null`)
			if topic, payload := p.answered(); topic != fmt.Sprintf("%s/?$rid=%d", row.topic, i) {
				t.Errorf("%d bytes are answered with %s %.100s", row.size, topic, payload)
			}
		}
		long := strings.Repeat("e", 5000)
		if err := client.HandleMethod("fails", func(context.Context, *device.MethodRequest) (int, any, error) { return 0, nil, errors.New(long) }); err != nil {
			t.Fatal(err)
		}
		p.calls("fails", "9", `null`)
		if topic, payload := p.answered(); topic != "500/?$rid=9" || payload != `{"error":"`+long[:1024]+`"}` {
			t.Errorf("a long error is answered with %s and %d bytes", topic, len(payload))
		}
		n.shut(client, p)
	})
}

// As many handlers as allowed run at once, the other calls wait for their turn, and what is too much is refused at once.
func TestHandleMethod_bounds(t *testing.T) {
	rows := []struct {
		name    string
		payload string
		waiting int // have room
	}{
		{"calls", `1`, 1000},
		{"bytes", `"` + strings.Repeat("x", 128<<10-2) + `"`, 32},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				release := make(chan bool)
				started := make(chan string, 2000)
				client, p := n.serving(device.Options{MaxMethods: 2}, func(_ context.Context, r *device.MethodRequest) (int, any, error) {
					started <- r.Name
					<-release
					return 200, nil, nil
				})
				total := 2 + row.waiting
				for i := range total {
					p.calls(fmt.Sprint(i), fmt.Sprint(i), row.payload)
				}
				synctest.Wait()
				p.calls("m", "more", row.payload)
				p.wantAnswer("429/?$rid=more", `{"error":"too many calls are waiting"}`)
				seen := map[string]bool{}
				for i := range total {
					synctest.Wait()
					if more := len(started); i == 0 && more != 2 || i > 0 && more > 1 {
						t.Fatalf("after %d answers %d more handlers run", i, more)
					}
					for len(started) > 0 {
						if name := <-started; i > 0 && name != fmt.Sprint(i+1) { // the first two begin at once
							t.Fatalf("after %d answers, call %s has its turn", i, name)
						}
					}
					release <- true
					topic, _ := p.answered()
					seen[topic] = true
				}
				if len(seen) != total {
					t.Errorf("%d of %d calls were answered", len(seen), total)
				}
				n.shut(client, p)
			})
		})
	}
}

// Answers go out on the connection of the call, or not at all: the hub has told the caller.
func TestHandleMethod_lostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		contexts := make(chan error, 3)
		client, p := n.serving(device.Options{MaxMethods: 1}, func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			time.Sleep(time.Second)
			contexts <- ctx.Err()
			return echo(ctx, r)
		})
		p.calls("m", "1", "1")
		p.calls("m", "2", "2")
		synctest.Wait()
		p = n.reconnect(p)
		p.grants(methodFilter)
		p.calls("m", "3", "3")
		p.wantAnswer("200/?$rid=3", "3")
		if len(contexts) != 2 { // the second call had not begun
			t.Errorf("%d calls were carried out, want 2", len(contexts))
		}
		for len(contexts) > 0 {
			if err := <-contexts; err != nil {
				t.Errorf("the context of a handler: %v", err)
			}
		}
		n.shut(client, p)
	})
}

// A new token needs a new connection, which waits for the answers.
func TestHandleMethod_renewalWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.serving(device.Options{TokenTTL: 100 * time.Second, KeepAlive: 1000 * time.Second}, func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			time.Sleep(7 * time.Second)
			return echo(ctx, r)
		})
		time.Sleep(80 * time.Second)
		p.calls("m", "1", "1") // the renewal is due after 85 s
		p.wantAnswer("200/?$rid=1", "1")
		p.next(mqttwire.Disconnect)
		p.nc.Close()
		p = <-n.peers
		p.login()
		p.grants(methodFilter)
		n.shut(client, p)
	})
}

// Drain waits for the handlers that run and for their answers, and takes no more calls.
func TestDrain_waitsForMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.serving(device.Options{MaxMethods: 1}, func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			time.Sleep(time.Second)
			return 200, ctx.Err() == nil, nil
		})
		p.calls("m", "running", "1")
		p.calls("m", "waiting", "1")
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- client.Drain(t.Context()) }()
		synctest.Wait()
		p.wantAnswer("200/?$rid=running", "true")
		p.wantAnswer("503/?$rid=waiting", `{"error":"the client is ending"}`)
		p.next(mqttwire.Disconnect)
		p.gone()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

func TestClose_endsTheContextsOfMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		ended := make(chan error, 1)
		client, p := n.serving(device.Options{}, func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 200, nil, nil
		})
		p.calls("m", "1", "1")
		synctest.Wait()
		n.shut(client, p)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the context ended with %v", err)
		}
	})
}

func FuzzReadMethodTopic(f *testing.F) {
	f.Add("$iothub/methods/POST/m/?$rid=1")
	f.Add("$iothub/methods/POST/a/b/?$rid=1&x=/?$rid=2")
	f.Add("$iothub/methods/POST//?$rid=")
	f.Fuzz(func(t *testing.T, topic string) {
		name, id, ok := device.ReadMethodTopic(topic)
		if ok && (id == "" || name == "" || !strings.Contains(topic, name+"/?$rid="+id)) {
			t.Errorf("%q: %q %q", topic, name, id)
		}
	})
}
