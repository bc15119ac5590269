package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

// mqttHub answers MQTT over TLS on loopback: it refuses log-ins with refuse, if that is set, and acknowledges every
// message after showing it to onPublish. Twins are empty, and take whatever is reported.
type mqttHub struct {
	listener  net.Listener
	ca        string // a file
	refuse    byte
	onPublish func(n int)

	wg       sync.WaitGroup
	mu       sync.Mutex
	messages []mqttwire.PublishPacket
	users    []string
}

func startMQTTHub(t *testing.T, h *mqttHub) *mqttHub {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"hub.example"},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	h.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(h.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	h.listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	h.wg.Go(func() {
		for {
			nc, err := h.listener.Accept()
			if err != nil {
				return
			}
			h.serve(nc)
			nc.Close()
		}
	})
	t.Cleanup(func() {
		h.listener.Close()
		h.wg.Wait()
	})
	return h
}

func (h *mqttHub) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	for {
		start, err := in.Peek(2)
		for n := 0; err == nil && n == 0; {
			if _, n, err = mqttwire.ParseHeader(start); err == nil && n == 0 {
				start, err = in.Peek(len(start) + 1)
			}
		}
		if err != nil {
			return
		}
		header, n, _ := mqttwire.ParseHeader(start)
		in.Discard(n)
		body := make([]byte, header.Length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		answer := h.answer(header, body)
		if answer == nil {
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

func (h *mqttHub) answer(header mqttwire.Header, body []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch header.Type {
	case mqttwire.Connect:
		p, err := mqttwire.ParseConnect(body)
		if err != nil {
			return nil
		}
		h.users = append(h.users, p.User)
		return mqttwire.AppendConnack(nil, false, h.refuse)
	case mqttwire.Publish:
		p, err := mqttwire.ParsePublish(header.Flags, body)
		if err != nil {
			return nil
		}
		if answer := answerTwin(&p); answer != nil {
			return answer
		}
		h.messages = append(h.messages, p)
		if h.onPublish != nil {
			h.onPublish(len(h.messages))
		}
		return mqttwire.AppendPuback(nil, p.ID)
	case mqttwire.Subscribe:
		p, err := mqttwire.ParseSubscribe(body)
		if err != nil {
			return nil
		}
		return mqttwire.AppendSuback(nil, p.ID, make([]byte, len(p.Filters))...)
	case mqttwire.Pingreq:
		return mqttwire.AppendPingresp(nil)
	}
	return nil
}

// answerTwin answers a request about a twin; nil for what is none.
func answerTwin(p *mqttwire.PublishPacket) []byte {
	path, id, _ := strings.Cut(string(p.Topic), "/?$rid=")
	answer := mqttwire.PublishPacket{}
	switch path {
	case "$iothub/twin/GET":
		answer.Topic = []byte("$iothub/twin/res/200/?$rid=" + id)
		answer.Payload = []byte(`{"desired":{"$version":1},"reported":{"$version":1}}`)
	case "$iothub/twin/PATCH/properties/reported":
		answer.Topic = []byte("$iothub/twin/res/204/?$rid=" + id + "&$version=2")
	default:
		return nil
	}
	packet, _ := mqttwire.AppendPublish(nil, &answer)
	return packet
}

// seen returns what has arrived.
func (h *mqttHub) seen() (messages []mqttwire.PublishPacket, users []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages, h.users
}

const simulatedLogin = "HostName=hub.example;DeviceId=d1;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// simulate runs the command against h, as device d1.
func (h *mqttHub) simulate(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := newSimulateCommand(Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--login", simulatedLogin, "--ca", h.ca, "--mqtts", h.listener.Addr().String()}, args...))
	err = cmd.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

func TestSimulate_sendsWindSpeeds(t *testing.T) {
	h := startMQTTHub(t, &mqttHub{})
	stdout, stderr, err := h.simulate(t.Context(), "d1", "--count", "250", "--interval", "0")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if !regexp.MustCompile(`^sent 250, acknowledged 250, [0-9]+\.[0-9] msg/s\n$`).MatchString(stdout) {
		t.Errorf("output %q", stdout)
	}
	messages, users := h.seen()
	if len(messages) != 250 || len(users) != 1 || !strings.HasPrefix(users[0], "hub.example/d1/?api-version=") {
		t.Fatalf("%d messages of %q", len(messages), users)
	}
	topic := regexp.MustCompile(`^devices/d1/messages/events/%24\.mid=([0-9a-f]{8})-249&%24\.cid=([0-9a-f]{8})&%24\.ct=application%2Fjson&%24\.ce=utf-8&windAlert=(true|false)$`)
	last := messages[249]
	match := topic.FindStringSubmatch(string(last.Topic))
	var body struct {
		DeviceID  string
		WindSpeed float64
	}
	if err := json.Unmarshal(last.Payload, &body); err != nil || match == nil {
		t.Fatalf("topic %s, body %s, %v", last.Topic, last.Payload, err)
	}
	if match[1] != match[2] || body.DeviceID != "d1" || body.WindSpeed < 10 || body.WindSpeed > 18 || (match[3] == "true") != (body.WindSpeed > 15) {
		t.Errorf("topic %s, body %s", last.Topic, last.Payload)
	}
}

func TestSimulate_json(t *testing.T) {
	h := startMQTTHub(t, &mqttHub{})
	stdout, stderr, err := h.simulate(t.Context(), "d1", "--count", "2", "--interval", "1ms", "-o", "json")
	var got struct {
		Sent, Acknowledged int
		RatePerSecond      float64
	}
	if err := errors.Join(err, json.Unmarshal([]byte(stdout), &got)); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if got.Sent != 2 || got.Acknowledged != 2 || got.RatePerSecond <= 0 {
		t.Errorf("output %s", stdout)
	}
}

func TestSimulate_endsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := startMQTTHub(t, &mqttHub{onPublish: func(n int) {
		if n == 3 {
			cancel()
		}
	}})
	stdout, _, err := h.simulate(ctx, "d1", "--interval", "1ms")
	if err != nil || !regexp.MustCompile(`^sent ([0-9]+), acknowledged ([0-9]+), `).MatchString(stdout) {
		t.Fatalf("%v: %q", err, stdout)
	}
	messages, _ := h.seen()
	if want := len(messages); !strings.HasPrefix(stdout, "sent "+strconv.Itoa(want)+", acknowledged "+strconv.Itoa(want)+", ") {
		t.Errorf("output %q with %d messages at the hub", stdout, want)
	}
}

func TestSimulate_refusedLogin(t *testing.T) {
	h := startMQTTHub(t, &mqttHub{refuse: mqttwire.RefusedNotAuthorized})
	stdout, _, err := h.simulate(t.Context(), "d1", "--count", "1")
	if err == nil || !strings.Contains(err.Error(), "refused the log-in") || stdout != "" {
		t.Errorf("%v: %q", err, stdout)
	}
}

func TestSimulate_usage(t *testing.T) {
	h := startMQTTHub(t, &mqttHub{})
	rows := []struct {
		name  string
		args  []string
		usage bool
		want  string
	}{
		{"negative count", []string{"d1", "--count", "-1"}, true, "negative"},
		{"negative interval", []string{"d1", "--interval", "-1s"}, true, "negative"},
		{"bad id", []string{"a b"}, true, "no device id"},
		{"bad address", []string{"d1", "--mqtts", "8883"}, true, "no address"},
		{"another device's login", []string{"d2", "--mqtts", "h:1"}, false, "that of device d1, not of d2"},
		{"no login", []string{"d1", "--mqtts", "h:1", "--login", "x"}, false, "connection string"},
	}
	for _, row := range rows {
		_, _, err := h.simulate(t.Context(), row.args...)
		var usage *usageError
		if err == nil || errors.As(err, &usage) != row.usage || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
