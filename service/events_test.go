package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func line(partition, sequence int) string {
	return fmt.Sprintf(`{"partition":"%d","sequenceNumber":%d,"offset":"%d","enqueuedTime":"2026-01-31T00:49:39.123Z","body":{"n":%d},`+
		`"properties":{"a":"b","n":null},"systemProperties":{"messageId":"m"},"annotations":{"iothub-connection-device-id":"d1","iothub-enqueuedtime":1769820579122}}`+"\n",
		partition, sequence, sequence, sequence)
}

func TestEvents_resumesWhereItStood(t *testing.T) {
	var queries []string
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.Query().Get("from")+" "+r.URL.Query().Get("after"))
		w.Header().Set("Date", "Sat, 31 Jan 2026 00:49:39 GMT")
		w.WriteHeader(200)
		switch len(queries) {
		case 1: // ends in the middle of a line
			fmt.Fprint(w, line(1, 4), "\n", line(1, 5), line(0, 0)[:40])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case 2: // ends cleanly
			fmt.Fprint(w, line(0, 0))
		case 3:
			fmt.Fprint(w, line(1, 6))
		}
	})
	f.Config.ErrorLog = nil
	var got, retries []string
	o := service.EventsOptions{OnRetry: func(err error, wait time.Duration) { retries = append(retries, wait.String()) }}
	for e, err := range f.client(t, nil).Events(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s:%d %s", e.Partition, e.SequenceNumber, e.Bytes()))
		if len(got) == 4 {
			break
		}
	}
	if diff := cmp.Diff([]string{`1:4 {"n":4}`, `1:5 {"n":5}`, `0:0 {"n":0}`, `1:6 {"n":6}`}, got); diff != "" {
		t.Error(diff)
	}
	// Partitions without an event yet start when the first connection did.
	want := []string{"latest ", "2026-01-31T00:49:39Z 1:5", "2026-01-31T00:49:39Z 0:0,1:5"}
	if diff := cmp.Diff(want, queries); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0s"}, retries); diff != "" {
		t.Error(diff)
	}
}

// The hub says in a last line that connecting again cannot help.
func TestEvents_stopsOnAnErrorLine(t *testing.T) {
	connections := 0
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		connections++
		fmt.Fprint(w, line(1, 4), `{"Message":"ErrorCode:ServerError;partition 1 is damaged","ExceptionMessage":"Tracking ID:1"}`+"\n")
	})
	events := 0
	var end error
	for e, err := range f.client(t, nil).Events(t.Context(), service.EventsOptions{}) {
		if err != nil {
			end = err
		} else if e.SequenceNumber == 4 {
			events++
		}
	}
	var e *hubward.Error
	if !errors.As(end, &e) || e.Code != hubward.CodeServerError || e.Message != "partition 1 is damaged" {
		t.Errorf("error %v", end)
	}
	if events != 1 || connections != 1 {
		t.Errorf("%d events on %d connections", events, connections)
	}
}

func TestEvents_stopsOnRefusal(t *testing.T) {
	connections := 0
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		if connections++; connections == 1 {
			fmt.Fprint(w, line(0, 0))
			return
		}
		answer(w, 401, `{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized"}`)
	})
	var last error
	n := 0
	for e, err := range f.client(t, nil).Events(t.Context(), service.EventsOptions{}) {
		if last = err; err == nil {
			n++
		} else if e != nil {
			t.Error("an event came with an error")
		}
	}
	if n != 1 || hubward.CodeOf(last) != hubward.CodeUnauthorizedAccess {
		t.Errorf("%d events, then %v", n, last)
	}
}

func TestEvents_firstConnectionFails(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 503, `{}`) })
	for _, err := range f.client(t, nil).Events(t.Context(), service.EventsOptions{}) {
		if err == nil || len(f.requests()) != 1 {
			t.Errorf("%v after %d requests", err, len(f.requests()))
		}
	}
}

func TestEvents_refusesWhatIsNoEvent(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>\n") })
	for e, err := range f.client(t, nil).Events(t.Context(), service.EventsOptions{}) {
		if e != nil || err == nil || !strings.Contains(err.Error(), "event") {
			t.Errorf("%v, %v", e, err)
		}
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestEvents_query(t *testing.T) {
	at := time.Date(2026, 1, 31, 9, 0, 0, 5e6, time.FixedZone("", 3600))
	for _, test := range []struct {
		o    service.EventsOptions
		want string
	}{
		{service.EventsOptions{}, "from=latest"},
		{service.EventsOptions{Earliest: true, DeviceID: "a b", ConsumerGroup: "$Default"}, "consumerGroup=%24Default&device=a+b&from=earliest"},
		{service.EventsOptions{Earliest: true, From: at}, "from=2026-01-31T08%3A00%3A00.005Z"},
		{service.EventsOptions{After: map[int]int64{10: 1, 2: 3}}, "after=2%3A3%2C10%3A1&from=latest"},
	} {
		f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 400, `{}`) })
		for range f.client(t, nil).Events(t.Context(), test.o) {
		}
		if got := f.requests()[0].URL.RawQuery; got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// roundTrip is an http.RoundTripper without a network, for tests with a clock of their own.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// silentBody delivers its text once and then nothing, until its request ends.
type silentBody struct {
	ctx  context.Context
	text string
}

func (b *silentBody) Read(p []byte) (int, error) {
	if b.text != "" {
		n := copy(p, b.text)
		b.text = b.text[n:]
		return n, nil
	}
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func (b *silentBody) Close() error { return nil }

func TestEvents_backsOffAndNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, connections := time.Now(), 0
		var at []time.Duration
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(start).Round(time.Second))
			if connections++; connections > 1 && connections < 9 {
				return nil, errors.New("the network is down")
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &silentBody{r.Context(), line(0, connections)}}, nil
		})
		c, err := service.NewFromConnectionString("HostName=h;SharedAccessKeyName=p;SharedAccessKey="+testKey, &service.Options{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range c.Events(t.Context(), service.EventsOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		var want []time.Duration
		for _, s := range []int{0, 45, 46, 48, 52, 60, 76, 106, 136} {
			want = append(want, time.Duration(s)*time.Second)
		}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEvents_slowConsumerIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			connections++
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &silentBody{r.Context(), line(0, 0) + line(0, 1)}}, nil
		})
		c, err := service.NewFromConnectionString("HostName=h;SharedAccessKeyName=p;SharedAccessKey="+testKey, &service.Options{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range c.Events(t.Context(), service.EventsOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			if n++; n == 2 {
				break
			}
		}
		if connections != 1 {
			t.Errorf("%d connections", connections)
		}
	})
}

func TestEvents_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, line(0, 0))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	var last error
	for e, err := range f.client(t, nil).Events(ctx, service.EventsOptions{}) {
		last = err
		if err == nil {
			if e.DeviceID() != "d1" || e.Properties["a"] != "b" || e.SystemProperties["messageId"] != "m" || fmt.Sprint(e.Annotations["iothub-enqueuedtime"]) != "1769820579122" {
				t.Errorf("event %+v", e)
			}
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
}

func TestEvent_bytes(t *testing.T) {
	for body, want := range map[string]string{
		`"body":"text\n"`:     "text\n",
		`"body":{"a":1}`:      `{"a":1}`,
		`"bodyBase64":"/wA="`: "\xff\x00",
		`"body":""`:           "",
	} {
		f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "{\"partition\":\"0\",%s}\n", body) })
		for e, err := range f.client(t, nil).Events(t.Context(), service.EventsOptions{}) {
			if err != nil || string(e.Bytes()) != want {
				t.Errorf("%s: %q, %v", body, e.Bytes(), err)
			}
			break
		}
	}
}
