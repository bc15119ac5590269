package device_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/device"
)

// A log-in by certificate, which is read from its files before each connection: whoever renews it there need not tell
// the program. The connection string is HostName=…;DeviceId=…;x509=true.
func ExampleOptions_clientCertificate() {
	client, err := device.NewFromConnectionString(os.Getenv("DEVICE"), &device.Options{
		GetClientCertificate: func(context.Context) (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair("d1.pem", "d1-key.pem")
			return &certificate, err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer client.Close(ctx)
	if err := client.Connect(ctx); err != nil {
		fmt.Println(err)
	}
}

// The hub issues the device a certificate, with which it logs in from its next connection on.
func ExampleClient_RequestCertificate() {
	hub, err := startFakeHub() // stands for a hub that issues certificates
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.stop()

	var current atomic.Pointer[tls.Certificate]
	first, err := newClientCertificate("d1") // stands for the one that the device has
	if err != nil {
		fmt.Println(err)
		return
	}
	current.Store(first)
	client, err := device.NewFromConnectionString(hub.certificateString(), &device.Options{
		CA:                   hub.roots,
		GetClientCertificate: func(context.Context) (*tls.Certificate, error) { return current.Load(), nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer client.Close(ctx)
	if err := client.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "d1"}}, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	issued, err := client.RequestCertificate(ctx, device.CertificateRequest{CSR: csr})
	if err != nil {
		fmt.Println(err)
		return
	}
	renewed, err := issued.TLSCertificate(key) // store it, with its key, before it is used
	if err != nil {
		fmt.Println(err)
		return
	}
	current.Store(renewed)
	fmt.Println("issued by", issued.Chain[0].Issuer.CommonName, "for", issued.Chain[0].Subject.CommonName)
	// Output: issued by root for d1
}

// A module behind an Azure IoT Edge hub passes on what comes to its input. Its connection string is
// HostName=…;GatewayHostName=…;DeviceId=…;ModuleId=…;SharedAccessKey=…
func ExampleClient_OnInput() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := device.NewFromConnectionString(os.Getenv("MODULE"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.OnInput("temperatures", func(ctx context.Context, m *device.InputMessage) error {
		return client.SendToOutput(ctx, "filtered", &m.Message) // nil completes it
	})
	if err == nil {
		err = client.Connect(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Drain(end); err != nil {
		fmt.Println(err)
	}
}
