package cli_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scriptedHub answers a call, named by its method and path, with a status and a body; behind calls of it is noted what was sent.
type scriptedHub struct {
	answers map[string]string // "GET /twins/d1" to "200 {…}"
	bodies  map[string]string // of the last request of each
	etags   map[string]string // its If-Match
	query   string            // of the last request
}

// newScriptedClient returns a client of a hub that follows a script.
func newScriptedClient(t *testing.T) (*client, *scriptedHub) {
	t.Helper()
	hub := &scriptedHub{answers: map[string]string{}, bodies: map[string]string{}, etags: map[string]string{}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.EscapedPath()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		hub.bodies[call], hub.etags[call], hub.query = string(body), r.Header.Get("If-Match"), r.URL.RawQuery
		status, text := 404, `{"Message":"ErrorCode:DeviceNotFound;not scripted"}`
		if scripted, ok := hub.answers[call]; ok {
			code, rest, _ := strings.Cut(scripted, " ")
			fmt.Sscan(code, &status)
			text = rest
		}
		w.WriteHeader(status)
		io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	login := "HostName=" + strings.TrimPrefix(server.URL, "https://") + ";SharedAccessKeyName=service;SharedAccessKey=" + wrongKey
	return &client{t: t, env: map[string]string{"HUBWARD_CONNECTION_STRING": login, "HUBWARD_CA": ca}}, hub
}
