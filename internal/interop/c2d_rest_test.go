//go:build interop

package interop_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// answer is that of one REST call.
type answer struct {
	status int
	header http.Header
	body   string
}

// rest makes one REST call with a connection string's rights. Header names are sent as they are written.
func rest(t *testing.T, cs, method, path string, header map[string]string, body string) answer {
	t.Helper()
	parsed, err := sas.ParseConnectionString(cs)
	if err != nil {
		t.Fatal(err)
	}
	resource := parsed.HostName
	if parsed.DeviceID != "" {
		resource += "/devices/" + parsed.DeviceID
	}
	token, err := sas.Sign(resource, parsed.SharedAccessKey, parsed.SharedAccessKeyName, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+hub.HTTPS+path+"?api-version=2021-04-12", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header[name] = []string{value}
	}
	req.Header.Set("Authorization", token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// owner calls with the owner's rights, and wants a good answer.
func owner(t *testing.T, method, path string) answer {
	t.Helper()
	a := rest(t, connectionString(t, "HUBWARD_CONNECTION_STRING"), method, path, nil, "")
	if a.status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// purge empties a device's queue, of n messages.
func purge(t *testing.T, device string, n int) {
	t.Helper()
	var got struct {
		TotalMessagesPurged int
		DeviceID            string
	}
	decode(t, owner(t, http.MethodDelete, "/devices/"+device+"/commands").body, &got)
	if got.TotalMessagesPurged != n || got.DeviceID != device {
		t.Errorf("purged %d messages of %q, want %d of %q", got.TotalMessagesPurged, got.DeviceID, n, device)
	}
}

// waitForQueue returns when a device's queue has n messages left, as its identity tells.
func waitForQueue(t *testing.T, device string, n int) {
	t.Helper()
	var d hubward.Device
	for began := time.Now(); time.Since(began) < readerWithin; {
		decode(t, owner(t, http.MethodGet, "/devices/"+device).body, &d)
		if d.CloudToDeviceMessageCount == n {
			return
		}
	}
	t.Fatalf("the queue of %s has %d messages, want %d", device, d.CloudToDeviceMessageCount, n)
}

// restBackEnd is a back end with nothing but HTTPS, as IoT Explorer is. Its message goes into headers.
type restBackEnd struct{}

// Send implements c2dSender.
func (restBackEnd) Send(t *testing.T, device string, m message) string {
	t.Helper()
	path := "/devices/" + device + "/messages/deviceBound"
	header := map[string]string{"iothub-to": path}
	for name, value := range map[string]string{
		"iothub-messageid": m.ID, "iothub-correlationid": m.CorrelationID, "iothub-userid": m.UserID,
		"iothub-contenttype": m.ContentType, "iothub-contentencoding": m.ContentEncoding, "iothub-ack": m.Ack,
	} {
		if value != "" {
			header[name] = value
		}
	}
	if m.Expiry != 0 {
		header["iothub-expiry"] = time.UnixMilli(m.Expiry).UTC().Format(time.RFC3339)
	}
	for name, value := range m.Properties {
		header["iothub-app-"+name] = value
	}
	a := rest(t, connectionString(t, "HUBWARD_CONNECTION_STRING"), http.MethodPost, path, header, m.Body)
	if a.status == http.StatusNoContent {
		return ""
	}
	return strconv.Itoa(a.status) + " " + a.header.Get("Iothub-Errorcode")
}
