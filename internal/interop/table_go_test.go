//go:build interop

package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

// goClients are devices and modules on package device, told as node/driven_clients.js is.
type goClients struct {
	roots *x509.CertPool
	mu    sync.Mutex // guards the map
	byID  map[string]*device.Client
}

func newGoClients(t *testing.T) *goClients {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	g := &goClients{roots: roots, byID: map[string]*device.Client{}}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel() // what is left is given up
		for _, client := range g.byID {
			_ = client.Close(ended)
		}
	})
	return g
}

// do implements clients.
func (g *goClients) do(t *testing.T, verb string, with fields) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callWithin)
	defer cancel()
	id := with["client"].(string)
	g.mu.Lock()
	client := g.byID[id]
	g.mu.Unlock()
	var result any
	var err error
	switch verb {
	case "open":
		err = g.open(ctx, id, with)
	case "send":
		err = client.SendTelemetry(ctx, goMessage(with["message"].(message)))
	case "receive":
		result, err = receiveInGo(ctx, client)
	case "close":
		err = client.Close(ctx)
	}
	if err != nil {
		return outcome{failure: &failure{Name: hubward.CodeOf(err).String(), Message: err.Error()}}
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return outcome{result: text}
}

func (g *goClients) open(ctx context.Context, id string, with fields) error {
	protocol, err := device.ParseProtocol(strings.Replace(with["transport"].(string), "http", "https", 1))
	if err != nil {
		return err
	}
	options := &device.Options{CA: g.roots, Protocol: protocol}
	text := fmt.Sprintf("HostName=%s;DeviceId=%s", with["host"], with["device"])
	if module, ok := with["module"]; ok {
		text += fmt.Sprintf(";ModuleId=%s", module)
	}
	switch {
	case with["key"] != nil:
		text += fmt.Sprintf(";SharedAccessKey=%s", with["key"])
	case with["token"] != nil:
		text += fmt.Sprintf(";SharedAccessSignature=%s", with["token"])
	default:
		text += ";x509=true"
		pair, err := tls.X509KeyPair([]byte(with["certificate"].(string)), []byte(with["privateKey"].(string)))
		if err != nil {
			return err
		}
		options.ClientCertificate = &pair
	}
	client, err := device.NewFromConnectionString(text, options)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.byID[id] = client
	g.mu.Unlock()
	return client.Connect(ctx)
}

func goMessage(m message) *hubward.Message {
	made := &hubward.Message{
		MessageID: m.ID, CorrelationID: m.CorrelationID, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Body: []byte(m.Body),
	}
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		made.Properties.Set(name, m.Properties[name])
	}
	return made
}

func receiveInGo(ctx context.Context, client *device.Client) (message, error) {
	got, err := client.Receive(ctx)
	if err != nil {
		return message{}, err
	}
	shown := message{
		ID: got.MessageID, CorrelationID: got.CorrelationID, ContentType: got.ContentType, ContentEncoding: got.ContentEncoding,
		Properties: map[string]string{}, Body: string(got.Body),
	}
	for _, p := range got.Properties {
		shown.Properties[p.Name] = p.Value
	}
	return shown, got.Complete(ctx)
}
