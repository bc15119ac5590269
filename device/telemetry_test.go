package device_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

func TestSendTelemetry_returnsWhenConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		result := make(chan error, 1)
		body := []byte("hello")
		go func() { result <- client.SendTelemetry(t.Context(), &hubward.Message{Body: body}) }()
		got := p.publish()
		if got.QoS != 1 || got.Dup || got.Retain || got.ID == 0 || string(got.Topic) != "devices/d1/messages/events/" || string(got.Payload) != "hello" {
			t.Errorf("PUBLISH %+v", got)
		}
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("it returned %v before PUBACK", err)
		default:
		}
		p.puback(got.ID)
		if err := <-result; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestSendTelemetry_topics(t *testing.T) {
	expiry := time.Date(2026, 1, 29, 16, 45, 39, 21_000_000, time.UTC)
	rows := []struct {
		name string
		m    hubward.Message
		bag  string
	}{
		{"tutorial", hubward.Message{MessageID: "ID-0", CorrelationID: "ID", ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubward.Property{{Name: "runId", Value: "ID"}, {Name: "windAlert", Value: "false"}}},
			"%24.mid=ID-0&%24.cid=ID&%24.ct=application%2Fjson&%24.ce=utf-8&runId=ID&windAlert=false"}, // as Node and Python send it
		{"everything", hubward.Message{MessageID: "1", CorrelationID: "2", UserID: "3", To: "/t", ContentType: "4", ContentEncoding: "5",
			CreationTime: "2026-01-01T00:00:00Z", Expiry: expiry, OutputName: "o", InterfaceID: "urn:x", Subject: "s", Schema: "c",
			TraceID: "ti", TraceContext: "a=b"},
			"%24.on=o&%24.mid=1&%24.cid=2&%24.uid=3&%24.to=%2Ft&%24.ct=4&%24.ce=5&%24.ctime=2026-01-01T00%3A00%3A00Z&%24.ifid=urn%3Ax" +
				"&%24.exp=2026-01-29T16%3A45%3A39.0210000Z&%24.sub=s&%24.schema=c&%24.diagid=ti&%24.diagctx=a%3Db"},
		{"marks", hubward.Message{Properties: []hubward.Property{{Name: "a b&", Value: "=+/%é~-._"}}}, "a%20b%26=%3D%2B%2F%25%C3%A9~-._"},
		{"null and empty", hubward.Message{Properties: []hubward.Property{{Name: "n", Null: true, Value: "x"}, {Name: "e"}}}, "n&e="},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		for _, row := range rows {
			go client.SendTelemetry(t.Context(), &row.m)
			got := p.publish()
			p.puback(got.ID)
			if want := "devices/d1/messages/events/" + row.bag; string(got.Topic) != want {
				t.Errorf("%s:\n got %s\nwant %s", row.name, got.Topic, want)
			}
		}
		n.shut(client, p)
	})
}

func TestSendTelemetry_refusesBeforeSending(t *testing.T) {
	property := func(name, value string) hubward.Message {
		return hubward.Message{Properties: []hubward.Property{{Name: name, Value: value}}}
	}
	rows := []struct {
		name string
		m    hubward.Message
		want hubward.Code // 0: sent
	}{
		{"body at the limit", hubward.Message{Body: make([]byte, 262_144)}, 0},
		{"body above the limit", hubward.Message{Body: make([]byte, 262_145)}, hubward.CodeMessageTooLarge},
		{"body and property above the limit", hubward.Message{Body: make([]byte, 262_143), Properties: []hubward.Property{{Name: "a", Value: "b"}}}, hubward.CodeMessageTooLarge},
		{"message id at the limit", hubward.Message{MessageID: strings.Repeat("a", 128)}, 0},
		{"message id above the limit", hubward.Message{MessageID: strings.Repeat("a", 129)}, hubward.CodeArgumentInvalid},
		{"topic at the limit", property("a", strings.Repeat("b", 65_535-len("devices/d1/messages/events/a="))), 0},
		{"topic above the limit", property("a", strings.Repeat("b", 65_536-len("devices/d1/messages/events/a="))), hubward.CodeMessageTooLarge},
		{"no property name", property("", "b"), hubward.CodeArgumentInvalid},
		{"system name", property("$.mid", "b"), hubward.CodeArgumentInvalid},
		{"name not UTF-8", property("\xff", "b"), hubward.CodeArgumentInvalid},
		{"value not UTF-8", property("a", "\xc3"), hubward.CodeArgumentInvalid},
		{"user id not UTF-8", hubward.Message{UserID: "\x80"}, hubward.CodeArgumentInvalid},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		for _, row := range rows {
			result := make(chan error, 1)
			go func() { result <- client.SendTelemetry(t.Context(), &row.m) }()
			if row.want == 0 {
				p.puback(p.publish().ID)
			}
			err := <-result
			if (err == nil) != (row.want == 0) || err != nil && hubward.CodeOf(err) != row.want {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		n.shut(client, p)
	})
}

func TestSendTelemetry_beforeConnectAndAfterClose(t *testing.T) {
	client := newPipes(t).client(device.Options{MaxInFlight: 1})
	for range 3 { // a refusal takes no place in the window
		if err := client.SendTelemetry(t.Context(), &hubward.Message{}); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("before Connect: %v", err)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := client.SendTelemetry(t.Context(), &hubward.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestSendTelemetryAsync_keepsOrderAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{MaxInFlight: 2})
		var mu sync.Mutex
		var confirmed []int
		sent := make(chan int, 10)
		go func() {
			for i := range 5 {
				m := &hubward.Message{Body: []byte(strconv.Itoa(i))}
				err := client.SendTelemetryAsync(t.Context(), m, func(err error) {
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						confirmed = append(confirmed, i)
					}
				})
				if err != nil {
					t.Error(err)
				}
				m.Body[0] = 'X' // the client has a copy
				sent <- i
			}
		}()
		for i := range 5 {
			got := p.publish()
			if string(got.Payload) != strconv.Itoa(i) {
				t.Errorf("message %d is %q", i, got.Payload)
			}
			synctest.Wait()
			if want := min(5, i+2); len(sent) != want { // i are confirmed and two may be under way
				t.Errorf("%d calls have returned with %d confirmed", len(sent), i)
			}
			p.puback(got.ID)
		}
		n.shut(client, p)
		if !slices.Equal(confirmed, []int{0, 1, 2, 3, 4}) {
			t.Errorf("confirmed: %v", confirmed)
		}
	})
}

func TestSendTelemetryAsync_fullWindowEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{MaxInFlight: 1})
		if err := client.SendTelemetryAsync(t.Context(), &hubward.Message{}, nil); err != nil {
			t.Fatal(err)
		}
		got := p.publish()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := client.SendTelemetryAsync(ctx, &hubward.Message{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		p.puback(got.ID)
		n.shut(client, p)
	})
}

func TestSendTelemetry_givenUpIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{MaxInFlight: 2})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := make(chan error, 2)
		go func() { result <- client.SendTelemetry(ctx, &hubward.Message{Body: []byte("given up")}) }()
		p.publish()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v", err)
		}
		go func() { result <- client.SendTelemetry(t.Context(), &hubward.Message{Body: []byte("kept")}) }()
		p.publish()
		p.nc.Close()

		p = <-n.peers
		p.login()
		got := p.publish()
		if string(got.Payload) != "kept" || !got.Dup {
			t.Errorf("sent again: %q", got.Payload)
		}
		p.puback(got.ID)
		if err := <-result; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestSendTelemetry_confirmationsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		results := make(chan string, 3)
		for _, body := range []string{"a", "b", "c"} {
			err := client.SendTelemetryAsync(t.Context(), &hubward.Message{Body: []byte(body)}, func(error) { results <- body })
			if err != nil {
				t.Fatal(err)
			}
		}
		var ids []uint16
		for range 3 {
			ids = append(ids, p.publish().ID)
		}
		p.puback(ids[2])
		p.puback(ids[2]) // twice: ignored
		p.puback(999)    // unknown: ignored
		p.puback(ids[0])
		p.puback(ids[1])
		if got := <-results + <-results + <-results; got != "cab" {
			t.Errorf("confirmed in the order %s", got)
		}
		n.shut(client, p)
	})
}

func TestSendTelemetry_concurrentSendersLoseNothing(t *testing.T) {
	hub, err := startFakeHub()
	if err != nil {
		t.Fatal(err)
	}
	defer hub.stop()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: hub.roots, MaxInFlight: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	const senders, each = 8, 50
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				body := strconv.Itoa(s) + "." + strconv.Itoa(i)
				if err := client.SendTelemetry(t.Context(), &hubward.Message{Body: []byte(body)}); err != nil {
					t.Errorf("%s: %v", body, err)
				}
				if s == 0 && i%20 == 10 {
					hub.dropAll()
				}
			}
		})
	}
	wg.Wait()
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := len(hub.bodies()); got != senders*each {
		t.Errorf("%d different messages have arrived, want %d", got, senders*each)
	}
}

func TestClient_leavesMessagesForOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		b, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 1, Topic: []byte("devices/d1/messages/devicebound/x"), Payload: []byte("hi")})
		if err != nil {
			t.Fatal(err)
		}
		p.send(b)
		n.shut(client, p) // which sees DISCONNECT, and no PUBACK, as the next packet
	})
}
