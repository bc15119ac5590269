package device_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// A device with a key gets its first certificate from the hub, logs in with it, and renews it while it is connected.
func TestHub_issuesCertificates(t *testing.T) {
	for _, p := range []device.Protocol{device.MQTT, device.MQTTWebSocket} {
		t.Run(p.String(), func(t *testing.T) {
			h := startHub(t)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c := h.connect(device.Options{Protocol: p})
			csr, key := csrOf(t, h.device.DeviceID)
			if _, err := c.RequestCertificate(ctx, device.CertificateRequest{CSR: csr}); hubward.CodeOf(err) != hubward.CodeCredentialPreconditionFailed {
				t.Fatalf("before it is switched on: %v", err)
			}
			on := true
			if _, err := h.service.UpdateCertificateIssuer(ctx, testhub.Name, service.CertificateIssuerChange{Enabled: &on}); err != nil {
				t.Fatal(err)
			}
			issued, err := c.RequestCertificate(ctx, device.CertificateRequest{CSR: csr})
			if err != nil {
				t.Fatal(err)
			}
			var current atomic.Pointer[tls.Certificate]
			use := func(issued *device.IssuedCertificate) {
				certificate, err := issued.TLSCertificate(key)
				if err != nil || len(issued.Chain) != 3 {
					t.Fatal(len(issued.Chain), err)
				}
				current.Store(certificate)
			}
			use(issued)
			h.close(c)
			for range 2 {
				c = h.connectByCertificate(ctx, device.Options{Protocol: p, GetClientCertificate: func(context.Context) (*tls.Certificate, error) { return current.Load(), nil }})
				if issued, err = c.RequestCertificate(ctx, device.CertificateRequest{CSR: csr}); err != nil { // the same key
					t.Fatal(err)
				}
				use(issued)
				h.close(c)
			}
			d, err := h.service.Device(ctx, h.device.DeviceID)
			if err != nil || d.Authentication.Type != hubward.AuthCertificate {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// connectByCertificate connects the device without a key.
func (h *realHub) connectByCertificate(ctx context.Context, opts device.Options) *device.Client {
	h.t.Helper()
	opts.CA, opts.Dial = h.CA, h.Dial
	cs := sas.ConnectionString{HostName: h.Host, DeviceID: h.device.DeviceID, X509: true}
	c, err := device.NewFromConnectionString(cs.String(), &opts)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		h.t.Fatal(err)
	}
	return c
}
