package testhub_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
)

func TestStart_servesREST(t *testing.T) {
	h := testhub.Start(t, testhub.HostNames("hub.example.com"), testhub.Partitions(2))
	d := h.CreateDevice("d1")
	if d.Authentication == nil || d.Authentication.SymmetricKey.PrimaryKey == "" {
		t.Error("the device has no key")
	}
	cs, err := sas.ParseConnectionString(h.ConnectionString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.Sign(cs.HostName, cs.SharedAccessKey, cs.SharedAccessKeyName, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"https://hub.example.com", h.HTTPS} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/devices/d1?api-version=2021-04-12", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		resp, err := h.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"deviceId":"d1"`) {
			t.Errorf("%s: %s, %v", base, resp.Status, err)
		}
	}
}

func TestDial_mapsPorts(t *testing.T) {
	h := testhub.Start(t)
	for _, address := range []string{"localhost:8883", "testhub.localhost:443", "localhost:5671", h.MQTT, h.AMQP} {
		conn, err := h.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		client := tls.Client(conn, &tls.Config{RootCAs: h.CA, ServerName: "localhost"})
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		conn.Close()
	}
	if _, err := h.Dial(t.Context(), "tcp", "localhost:5672"); err == nil {
		t.Error("port 5672 leads somewhere")
	}
}

func TestPlainAMQP(t *testing.T) {
	h := testhub.Start(t, testhub.PlainAMQP())
	for _, address := range []string{"localhost:5672", h.Plain} {
		conn, err := h.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() != h.Plain {
			t.Errorf("%s leads to %s", address, conn.RemoteAddr())
		}
		conn.Close()
	}
	text, err := os.ReadFile(filepath.Join(h.Data, "connection-strings.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{h.EmulatorConnectionString("service"), h.EventHubConnectionString("service")} {
		if !strings.Contains(string(text), "='"+want+"'\n") {
			t.Error("the hub writes another connection string")
		}
	}
}

func TestAt_stopsTheClock(t *testing.T) {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	h := testhub.Start(t, testhub.At(noon))
	if created := h.Process().Hub.Created; !created.Equal(noon) {
		t.Errorf("the hub was created at %s", created)
	}
	resp, err := h.Client().Get(h.HTTPS + "/")
	if err != nil {
		t.Fatal(err) // the certificate is one of that time
	}
	resp.Body.Close()
}

func TestDeviceConnectionString(t *testing.T) {
	h := testhub.Start(t)
	d := h.CreateDevice("d1")
	want := "HostName=localhost;DeviceId=d1;SharedAccessKey=" + string(d.Authentication.SymmetricKey.PrimaryKey)
	if got := h.DeviceConnectionString("d1"); got != want {
		t.Error("another connection string")
	}
}

func TestStart_twoAtATime(t *testing.T) {
	a, b := testhub.Start(t), testhub.Start(t)
	if a.MQTT == b.MQTT || a.ConnectionString("service") == b.ConnectionString("service") {
		t.Error("two hubs are one")
	}
}
