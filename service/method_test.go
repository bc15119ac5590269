package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func TestInvokeMethod(t *testing.T) {
	var got sent
	c := hubAnswering(t, &got, `{"status":200,"payload":{"n":9007199254740993,"f":1.0}}`)
	result, err := c.InvokeMethod(t.Context(), module1, hubward.MethodCall{
		Name: "fan*start", Payload: json.RawMessage(`{"speed": 1.0, "by": "<&>"}`), ResponseTimeout: time.Minute, ConnectTimeout: 20 * time.Second,
	})
	if err != nil || result.Status != 200 || string(result.Payload) != `{"n":9007199254740993,"f":1.0}` {
		t.Errorf("%d %s, %v", result.Status, result.Payload, err)
	}
	want := sent{
		line: "POST /twins/d%231/modules/m%251/methods?api-version=2021-04-12",
		body: `{"methodName":"fan*start","payload":{"speed":1.0,"by":"<&>"},"responseTimeoutInSeconds":60,"connectTimeoutInSeconds":20}`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sent{})); diff != "" {
		t.Error(diff)
	}
	if _, err := c.InvokeMethod(t.Context(), device1, hubward.MethodCall{Name: "stop"}); err != nil {
		t.Error(err)
	}
	if want := (sent{line: "POST /twins/d%231/methods?api-version=2021-04-12", body: `{"methodName":"stop"}`}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := c.InvokeMethod(t.Context(), device1, hubward.MethodCall{Name: "stop", Payload: json.RawMessage("null")}); err != nil || got.body != `{"methodName":"stop","payload":null}` {
		t.Errorf("%v: %s", err, got.body)
	}
}

func TestInvokeMethod_refusals(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, `{}`) })
	c := f.client(t, nil)
	for want, call := range map[string]hubward.MethodCall{
		"the response time-out is 5.5s": {ResponseTimeout: 5500 * time.Millisecond},
		"the connect time-out is 1ms":   {ConnectTimeout: time.Millisecond},
		`the payload is no JSON: "{a}"`: {Payload: json.RawMessage("{a}")},
		`the payload is no JSON: ""`:    {Payload: json.RawMessage("")},
	} {
		_, err := c.InvokeMethod(t.Context(), device1, call)
		var e *hubward.Error
		if !errors.As(err, &e) || e.Code != hubward.CodeArgumentInvalid || !strings.HasPrefix(e.Message, want) || e.Identity != device1 {
			t.Errorf("%+v: %v", call, err)
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestInvokeMethod_errors(t *testing.T) {
	for code, status := range map[hubward.Code]int{
		hubward.CodeDeviceNotOnline: 404, hubward.CodeDeviceConnectionClosed: 404, hubward.CodeGatewayTimeout: 504, hubward.CodeBadDeviceResponse: 502,
	} {
		inner, err := json.Marshal(map[string]any{"errorCode": int(code), "trackingId": "1", "message": "as it is", "timestampUtc": "2026-01-31"})
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]string{"Message": string(inner), "ExceptionMessage": ""})
		if err != nil {
			t.Fatal(err)
		}
		c := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, status, string(body)) }).client(t, nil)
		_, err = c.InvokeMethod(t.Context(), device1, hubward.MethodCall{Name: "stop"})
		var e *hubward.Error
		if !errors.As(err, &e) || e.Code != code || e.Message != "as it is" {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// answerLater is a hub that answers after a time.
type answerLater time.Duration

func (d answerLater) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(d)):
		return &http.Response{
			StatusCode: 200, Status: "200 OK", Header: http.Header{}, Request: r, Body: http.NoBody,
		}, nil
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// A call waits as long as the hub may take, and no longer.
func TestInvokeMethod_waits(t *testing.T) {
	for _, test := range []struct {
		call hubward.MethodCall
		wait time.Duration
	}{
		{hubward.MethodCall{Name: "m"}, 45 * time.Second},
		{hubward.MethodCall{Name: "m", ResponseTimeout: 300 * time.Second, ConnectTimeout: 300 * time.Second}, 615 * time.Second},
	} {
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				takes := test.wait - time.Second
				if late {
					takes = test.wait + time.Second
				}
				c, err := service.NewFromConnectionString("HostName=h;SharedAccessKeyName=p;SharedAccessKey="+testKey,
					&service.Options{HTTPClient: &http.Client{Transport: answerLater(takes)}})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = c.InvokeMethod(t.Context(), device1, test.call)
				if took := time.Since(began); took != min(takes, test.wait) {
					t.Errorf("it took %v", took)
				}
				if errors.Is(err, context.DeadlineExceeded) != late || late && !strings.Contains(err.Error(), "nothing came within "+test.wait.String()) {
					t.Errorf("an answer after %v: %v", takes, err)
				}
			})
		}
	}
}

// The package's own client waits longer for a device than for a hub.
func TestInvokeMethod_outlastsOtherCalls(t *testing.T) {
	if plain, patient := service.AnswerTimeouts(); plain != time.Minute || patient != 0 {
		t.Errorf("%v and %v", plain, patient)
	}
}
