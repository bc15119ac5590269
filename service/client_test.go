package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

func TestNewFromConnectionString_refusals(t *testing.T) {
	for text, want := range map[string]string{
		"": "HostName",
		"Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey=aaaa;EntityPath=e": "Event-Hubs",
		"HostName=h;DeviceId=d;SharedAccessKey=aaaa":                               "device",
		"HostName=h;SharedAccessKey=aaaa":                                          "SharedAccessKeyName",
		"HostName=h;SharedAccessKeyName=p":                                         "SharedAccessKey",
		"HostName=h;SharedAccessKeyName=p;SharedAccessKey=s3cr3t!":                 "base64",
		"HostName=h/x;SharedAccessKeyName=p;SharedAccessKey=aaaa":                  "host name",
		"HostName=u@h;SharedAccessKeyName=p;SharedAccessKey=aaaa":                  "host name",
	} {
		_, err := service.NewFromConnectionString(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one about %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestToken_isCachedAndRenewed(t *testing.T) {
	now := time.Unix(1900000000, 0)
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, `{}`) })
	c := f.client(t, &service.Options{Now: func() time.Time { return now }, TokenTTL: time.Hour})
	for _, at := range []time.Duration{0, 44 * time.Minute, 45 * time.Minute} {
		now = time.Unix(1900000000, 0).Add(at)
		if _, err := c.RegistryStatistics(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var tokens []string
	for _, r := range f.requests() {
		tokens = append(tokens, r.Header.Get("Authorization"))
	}
	if tokens[0] != tokens[1] || tokens[1] == tokens[2] {
		t.Errorf("tokens: %q", tokens)
	}
	token, err := sas.Parse(tokens[2])
	if err != nil || !token.VerifyKey(testKey) || token.Host() != "127.0.0.1" || token.Policy != "iothubowner" || !token.Expiry.Equal(now.Add(time.Hour)) {
		t.Errorf("token %+v, %v", token, err)
	}
}

func TestToken_readyMade(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, `{}`) })
	c, err := service.NewFromConnectionString("HostName="+f.host+";SharedAccessSignature=SharedAccessSignature sr=x", &service.Options{RootCAs: f.pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.ServiceStatistics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.requests()[0].Header.Get("Authorization"); got != "SharedAccessSignature sr=x" {
		t.Errorf("Authorization: %s", got)
	}
}

// What goes out is what the cloud service reads: ids escaped, etags in quotes, the server's own fields left out. A bare
// etag was not always an etag to it (Azure/azure-iot-sdk-node#606).
func TestRequests_onTheWire(t *testing.T) {
	var body []byte
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		if r.Method == "DELETE" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, 200, `{"deviceId":"d/1?","etag":"MA=="}`)
	})
	c := f.client(t, nil)
	d, err := c.CreateDevice(t.Context(), hubward.Device{DeviceID: "a%b#?c", ETag: "ignored", LastActivityTime: hubward.Time{Time: time.Now()}})
	if err != nil || d.ETag != "MA==" {
		t.Fatalf("%+v, %v", d, err)
	}
	r := f.requests()[0]
	if got := r.Method + " " + r.RequestURI; got != "PUT /devices/a%25b%23%3Fc?api-version=2021-04-12" {
		t.Errorf("got %s", got)
	}
	if got := string(body); got != `{"deviceId":"a%b#?c","statusReason":null,"capabilities":{"iotEdge":false}}` {
		t.Errorf("body %s", got)
	}
	if r.Header.Get("If-Match") != "" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("header %v", r.Header)
	}
	for _, etag := range []string{"MA==", service.AnyETag} {
		if _, err := c.UpdateDevice(t.Context(), hubward.Device{DeviceID: "d", ETag: etag}); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteDevice(t.Context(), "d", etag); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.requests()[len(f.requests())-2:] {
			if got := r.Header.Get("If-Match"); got != `"`+etag+`"` {
				t.Errorf("%s with If-Match %s", r.Method, got)
			}
		}
	}
}

func TestUpdateDevice_needsAnETag(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, `{}`) })
	c := f.client(t, nil)
	if _, err := c.UpdateDevice(t.Context(), hubward.Device{DeviceID: "d"}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("error %v", err)
	}
	if _, err := c.Device(t.Context(), ""); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("error %v", err)
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestErrors_fromEveryEnvelope(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		header []string
		want   hubward.Error
	}{
		{"name in the message", 404, `{"Message":"ErrorCode:DeviceNotFound;no d","ExceptionMessage":"Tracking ID:1"}`, nil, hubward.Error{Code: hubward.CodeDeviceNotFound, Message: "no d"}},
		{"header", 412, `{"Message":"ErrorCode:Whatever;text"}`, []string{"iothub-errorcode", "PreconditionFailed"}, hubward.Error{Code: hubward.CodePreconditionFailed, Message: "text"}},
		{"number", 404, `{"errorCode":404103,"message":"not online"}`, nil, hubward.Error{Code: hubward.CodeDeviceNotOnline, Message: "not online"}},
		{"number inside the message", 404, `{"Message":"{\"errorCode\":404103,\"message\":\"not online\"}","ExceptionMessage":""}`, nil, hubward.Error{Code: hubward.CodeDeviceNotOnline, Message: "not online"}},
		{"unknown name", 400, `{"Message":"ErrorCode:GenericBadRequest;text"}`, nil, hubward.Error{Code: 400000, Message: "text"}},
		{"no JSON", 502, `<html>`, nil, hubward.Error{Code: 502000, Message: "the answer was HTTP 502 Bad Gateway"}},
		{"redirect", 307, ``, []string{"Location", "https://elsewhere.invalid/"}, hubward.Error{Code: 307000, Message: "the answer was HTTP 307 Temporary Redirect"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, test.status, test.body, test.header...) })
			_, err := f.client(t, nil).Device(t.Context(), "d1")
			var got *hubward.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v", err)
			}
			test.want.Op, test.want.Identity = "service.Device", hubward.Identity{Device: "d1"}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Error(diff)
			}
			if got.Code.HTTPStatus() != test.status {
				t.Errorf("status %d", got.Code.HTTPStatus())
			}
		})
	}
}

func TestErrors_ofTheNetworkSayWhatToDo(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, `{}`) })
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, port, _ := net.SplitHostPort(f.host)
	for _, test := range []struct {
		name, host, want string
		o                *service.Options
	}{
		{"untrusted", f.host, "ca.pem", nil},
		{"wrong name", "localhost:" + port, "--hostname", &service.Options{RootCAs: f.pool()}},
		{"no TLS", strings.TrimPrefix(plain.URL, "http://"), "TLS", nil},
		{"closed", closed.Addr().String(), "nothing listens", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := service.NewFromConnectionString("HostName="+test.host+";SharedAccessKeyName=p;SharedAccessKey="+testKey, test.o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			_, err = c.Device(t.Context(), "d1")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "service.Device") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.client(t, nil).Device(ctx, "d1"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAnswers_areBounded(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.LimitReader(endless{}, 40<<20))
	})
	if _, err := f.client(t, nil).Devices(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestBulkDevices_resultsAndRefusals(t *testing.T) {
	result := `{"isSuccessful":false,"errors":[{"deviceId":"a","moduleId":null,"errorCode":409001,"errorStatus":"exists"},{"deviceId":"b","errorCode":"DeviceNotFound"}],"warnings":[]}`
	var status int
	var header []string
	var sent string
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = string(body)
		answer(w, status, result, header...)
	})
	c := f.client(t, nil)
	status, header = 400, []string{"IotHubErrorCode", "BulkRegistryOperationFailure"}
	got, err := c.BulkDevices(t.Context(), []service.BulkItem{{Device: hubward.Device{DeviceID: "a"}}, {Device: hubward.Device{DeviceID: "b", ETag: "x"}, Mode: service.DeleteIfMatchETag}})
	if err != nil || len(got.Errors) != 2 || got.Errors[0].ErrorCode != service.ErrorCode(hubward.CodeDeviceAlreadyExists) || got.Errors[1].ErrorCode != service.ErrorCode(hubward.CodeDeviceNotFound) {
		t.Errorf("%+v, %v", got, err)
	}
	want := `[{"id":"a","importMode":"createOrUpdate","status":"enabled","statusReason":null,"capabilities":{"iotEdge":false}},` +
		`{"id":"b","eTag":"x","importMode":"deleteIfMatchETag","status":"enabled","statusReason":null,"capabilities":{"iotEdge":false}}]`
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
	header = []string{"iothub-errorcode", "DeviceDefinedMultipleTimes"}
	if _, err := c.BulkDevices(t.Context(), nil); hubward.CodeOf(err) != hubward.CodeDeviceDefinedMultipleTimes {
		t.Errorf("error %v", err)
	}
}
