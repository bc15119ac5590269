package service_test

import (
	"net"
	"net/url"
	"testing"

	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// A name below .localhost leads to this machine, whatever the system's resolver and proxy know, and is in the certificate.
func TestClient_hubBelowLocalhost(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.invalid:1")
	h := testhub.Start(t)
	web, err := url.Parse(h.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	login, err := sas.ParseConnectionString(h.ConnectionString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"testhub.localhost", "testhub.service.localhost"} {
		login.HostName = net.JoinHostPort(name, web.Port())
		c, err := service.NewFromConnectionString(login.String(), &service.Options{RootCAs: h.CA})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.ServiceStatistics(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
