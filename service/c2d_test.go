package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestC2D_againstAHub(t *testing.T) {
	ctx, h := t.Context(), testhub.Start(t)
	h.CreateDevice("d#1")
	c := newHubClient(t, h, "service")
	if n, err := c.PurgeC2D(ctx, "d#1"); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for range 50 {
		if err := c.SendC2D(ctx, "d#1", &hubward.Message{Ack: hubward.AckNegative, MessageID: "m", Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		err  error
		code hubward.Code
	}{
		"a full queue":      {c.SendC2D(ctx, "d#1", &hubward.Message{}), hubward.CodeDeviceMaximumQueueDepth},
		"an unknown device": {c.SendC2D(ctx, "d2", &hubward.Message{}), hubward.CodeDeviceNotFound},
		"no device":         {c.SendC2D(ctx, "", &hubward.Message{}), hubward.CodeArgumentInvalid},
		"an expiry":         {c.SendC2D(ctx, "d#1", &hubward.Message{Expiry: time.Now().Add(-time.Hour)}), hubward.CodeArgumentInvalid},
		"an ack":            {c.SendC2D(ctx, "d#1", &hubward.Message{Ack: "x"}), hubward.CodeArgumentInvalid},
		"a large message":   {c.SendC2D(ctx, "d#1", &hubward.Message{Body: make([]byte, 64<<10+1)}), hubward.CodeMessageTooLarge},
		"a name":            {c.SendC2D(ctx, "d#1", &hubward.Message{Properties: []hubward.Property{{Name: "a b"}}}), hubward.CodeArgumentInvalid},
		"a permission":      {newHubClient(t, h, "device").SendC2D(ctx, "d#1", &hubward.Message{}), hubward.CodeUnauthorizedAccess},
	} {
		if test.err == nil || hubward.CodeOf(test.err) != test.code {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	if n, err := c.PurgeC2D(ctx, "d#1"); n != 50 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	records := 0
	for f, err := range c.Feedback(ctx, service.FeedbackOptions{}) {
		if err != nil || f.StatusCode != hubward.FeedbackPurged || f.DeviceID != "d#1" || f.OriginalMessageID != "m" {
			t.Fatalf("%+v, %v", f, err)
		}
		if records++; records == 50 {
			break
		}
	}
	if m, err := c.ReceiveFeedback(ctx); m != nil || err != nil {
		t.Errorf("%+v, %v: it was completed", m, err)
	}
	for _, settle := range []func(context.Context, string) error{c.CompleteFeedback, c.AbandonFeedback} {
		if err := settle(ctx, "x"); hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			t.Error(err)
		}
	}
	hub, err := newHubClient(t, h, "iothubowner").UpdateHub(ctx, testhub.Name, service.HubChange{CloudToDevice: service.C2DSettings{MaxDeliveryCount: 3}})
	want := service.C2DSettings{DefaultTTL: service.Duration(time.Hour), MaxDeliveryCount: 3, Feedback: service.FeedbackSettings{
		TTL: service.Duration(time.Hour), LockDuration: service.Duration(time.Minute), MaxDeliveryCount: 10,
	}}
	if err != nil || hub.CloudToDevice != want {
		t.Errorf("%+v, %v", hub, err)
	}
}

func TestSendC2D_request(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	at := time.Date(2026, 1, 31, 1, 2, 3, 0, time.UTC)
	err := f.client(t, nil).SendC2D(t.Context(), "d1", &hubward.Message{
		MessageID: "m", CorrelationID: "c", ContentType: "application/json", Ack: hubward.AckFull, Expiry: at, Body: []byte("{}"),
		Properties: []hubward.Property{{Name: "a", Value: "1"}},
	})
	r := f.requests()[0]
	got := []string{r.Method, r.URL.RequestURI()}
	for _, name := range []string{"iothub-messageid", "iothub-correlationid", "iothub-contenttype", "iothub-ack", "iothub-expiry", "iothub-app-a", "Content-Type"} {
		got = append(got, r.Header.Get(name))
	}
	want := []string{
		"POST", "/devices/d1/messages/deviceBound?api-version=2021-04-12", "m", "c", "application/json", "full",
		"2026-01-31T01:02:03.0000000Z", "1", "application/octet-stream",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

const twoRecords = `[{"originalMessageId":"a","statusCode":"Success"},{"originalMessageId":"b","statusCode":"Expired"}]`

// A message is settled as the loop is left: with its last record it is done, before it comes again.
func TestFeedback_settlesAsTheLoopIsLeft(t *testing.T) {
	for leaveAt, want := range map[string]string{"a": "POST feedback/lock/abandon", "b": "DELETE feedback/lock"} {
		f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				answer(w, 200, twoRecords, "ETag", `"lock"`)
				return
			}
			w.WriteHeader(204)
		})
		for record, err := range f.client(t, nil).Feedback(t.Context(), service.FeedbackOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if record.OriginalMessageID == leaveAt {
				break
			}
		}
		last := f.requests()[len(f.requests())-1]
		_, path, _ := strings.Cut(last.URL.Path, "serviceBound/")
		if got := last.Method + " " + path; got != want {
			t.Errorf("left at %s: %s", leaveAt, got)
		}
	}
}

func TestFeedback_firstCallFails(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 503, `{}`) })
	n := 0
	for record, err := range f.client(t, nil).Feedback(t.Context(), service.FeedbackOptions{}) {
		if n++; record != nil || err == nil {
			t.Errorf("%+v, %v", record, err)
		}
	}
	if n != 1 || len(f.requests()) != 1 {
		t.Errorf("%d results of %d requests", n, len(f.requests()))
	}
}

// A hub that does not wait is not asked all the time; one that fails for a while is asked again, later and later.
func TestFeedback_pacesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []string
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			at = append(at, fmt.Sprint(r.Method, " ", time.Since(start)))
			answer := func(status int, body string) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{"Etag": {`"lock"`}}, Body: io.NopCloser(strings.NewReader(body))}, nil
			}
			switch len(at) {
			case 1, 2:
				return answer(204, "")
			case 3, 4, 5:
				return nil, errors.New("the network is down")
			case 6:
				time.Sleep(20 * time.Second) // a hub that waits
				return answer(204, "")
			case 7:
				return answer(200, "[]")
			case 9:
				return answer(401, "")
			}
			return answer(204, "")
		})
		c, err := service.NewFromConnectionString("HostName=h;SharedAccessKeyName=p;SharedAccessKey="+testKey, &service.Options{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		retries, last := 0, error(nil)
		for _, err := range c.Feedback(t.Context(), service.FeedbackOptions{OnRetry: func(error, time.Duration) { retries++ }}) {
			last = err
		}
		want := []string{"GET 0s", "GET 2s", "GET 4s", "GET 5s", "GET 7s", "GET 11s", "GET 31s", "DELETE 31s", "GET 31s"}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
		if retries != 3 || hubward.CodeOf(last).HTTPStatus() != 401 {
			t.Errorf("%d retries, then %v", retries, last)
		}
	})
}
