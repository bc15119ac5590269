package device_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

func TestConnect_saysWhoItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client := n.client(device.Options{Product: "my app/1.0 (x)", ModelID: "dtmi:com:example:Fan;1"})
		go client.Connect(t.Context())
		p := <-n.peers
		got := p.login()
		token, err := sas.Parse(string(got.Password))
		if err != nil {
			t.Fatal(err)
		}
		if token.Host() != "hub.example" || !token.Covers("devices", "d1") || token.Covers("devices", "d2") ||
			!token.VerifyKey(testKey) || !token.Expiry.Equal(time.Now().Add(time.Hour).Truncate(time.Second)) {
			t.Errorf("the token is for %q until %v", token.Segment, token.Expiry)
		}
		got.Password = nil
		want := mqttwire.ConnectPacket{
			Protocol: "MQTT", Level: 4, KeepAlive: time.Minute, ClientID: "d1", HasUser: true, HasPassword: true,
			User: "hub.example/d1/?api-version=2021-04-12&DeviceClientType=my%20app%2F1.0%20%28x%29&model-id=dtmi%3Acom%3Aexample%3AFan%3B1",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("CONNECT (-want +got):\n%s", diff)
		}
		n.shut(client, p)
	})
}

// TestConnect_kindsOfConnectionString looks at what is dialled and shown for each kind.
func TestConnect_kindsOfConnectionString(t *testing.T) {
	ready, err := sas.Sign("hub.example/devices/d1", testKey, "", time.Unix(1900000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct{ name, cs, address, user, resource, policy string }{
		{"device", testConnectionString, "hub.example:8883", "hub.example/d1/", "hub.example/devices/d1", ""},
		{"module", "HostName=hub.example;DeviceId=d1;ModuleId=m1;SharedAccessKey=" + testKey,
			"hub.example:8883", "hub.example/d1/m1/", "hub.example/devices/d1/modules/m1", ""},
		{"port", "HostName=localhost:18883;DeviceId=d1;SharedAccessKey=" + testKey,
			"localhost:18883", "localhost/d1/", "localhost/devices/d1", ""},
		{"IPv6", "HostName=[::1]:18883;DeviceId=d1;SharedAccessKey=" + testKey, "[::1]:18883", "::1/d1/", "::1/devices/d1", ""},
		{"gateway", testConnectionString + ";GatewayHostName=edge", "edge:8883", "hub.example/d1/", "hub.example/devices/d1", ""},
		{"gateway with port", testConnectionString + ";GatewayHostName=edge:1", "edge:1", "hub.example/d1/", "hub.example/devices/d1", ""},
		{"policy key", testConnectionString + ";SharedAccessKeyName=device", "hub.example:8883", "hub.example/d1/", "hub.example/devices/d1", "device"},
		{"ready token", "HostName=hub.example;DeviceId=d1;SharedAccessSignature=" + ready, "hub.example:8883", "hub.example/d1/", "hub.example/devices/d1", ""},
		{"odd id", "HostName=hub.example;DeviceId=a%+#?$b;SharedAccessKey=" + testKey, "hub.example:8883", "hub.example/a%+#?$b/", "hub.example/devices/a%+#?$b", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dialled, theirs := make(chan string, 1), make(chan net.Conn, 1)
			client, err := device.NewFromConnectionString(row.cs, device.ForPipe(device.Options{
				Dial: func(_ context.Context, _, address string) (net.Conn, error) {
					a, b := net.Pipe()
					dialled <- address
					theirs <- b
					return a, nil
				},
			}))
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() { result <- client.Connect(t.Context()) }()
			p := newPeer(t, <-theirs)
			got := p.connect()
			p.connack(mqttwire.RefusedNotAuthorized)
			<-result
			if address := <-dialled; address != row.address {
				t.Errorf("it dials %s, want %s", address, row.address)
			}
			if !strings.HasPrefix(got.User, row.user+"?api-version=") {
				t.Errorf("the user name is %q, want it to begin with %q", got.User, row.user)
			}
			token, err := sas.Parse(string(got.Password))
			if err != nil || strings.Join(token.Segment, "/") != row.resource || token.Policy != row.policy || !token.VerifyKey(testKey) {
				t.Errorf("the token is for %q by %q, %v", token.Segment, token.Policy, err)
			}
		})
	}
}

func TestNewFromConnectionString_refuses(t *testing.T) {
	const secret = "c2VjcmV0IGtleQ=="
	rows := []struct{ name, cs, want string }{
		{"empty", "", "names no HostName"},
		{"no host", "DeviceId=d1;SharedAccessKey=" + secret, "names no HostName"},
		{"policy", "HostName=hub;SharedAccessKeyName=iothubowner;SharedAccessKey=" + secret, "not one of a policy"},
		{"event hubs", "Endpoint=sb://hub/;SharedAccessKeyName=x;SharedAccessKey=" + secret, "names no HostName"},
		{"no credential", "HostName=hub;DeviceId=d1", "neither SharedAccessKey nor SharedAccessSignature"},
		{"two credentials", "HostName=hub;DeviceId=d1;SharedAccessSignature=x;SharedAccessKey=" + secret, "has both"},
		{"certificate", "HostName=hub;DeviceId=d1;x509=true", "needs ClientCertificate or GetClientCertificate"},
		{"certificate and key", "HostName=hub;DeviceId=d1;x509=true;SharedAccessKey=" + secret, "x509=true and a key"},
		{"key no base64", "HostName=hub;DeviceId=d1;SharedAccessKey=" + secret + "!", "not base64"},
		{"token unreadable", "HostName=hub;DeviceId=d1;SharedAccessSignature=" + secret, "does not begin with"},
		{"device id", "HostName=hub;DeviceId=a b;SharedAccessKey=" + secret, "DeviceId: "},
		{"module id", "HostName=hub;DeviceId=d1;ModuleId=a/b;SharedAccessKey=" + secret, "ModuleId: "},
	}
	for _, row := range rows {
		_, err := device.NewFromConnectionString(row.cs, nil)
		if err == nil || hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v; want one that says %q", row.name, err, row.want)
		} else if strings.Contains(err.Error(), "c2Vjcm") {
			t.Errorf("%s: the error shows the key: %v", row.name, err)
		}
	}
}

func TestNewFromConnectionString_refusesOptions(t *testing.T) {
	rows := []struct {
		name string
		opts device.Options
		ok   bool
	}{
		{"KeepAlive", device.Options{KeepAlive: 1177 * time.Second}, true},
		{"KeepAlive", device.Options{KeepAlive: 1178 * time.Second}, false},
		{"KeepAlive", device.Options{KeepAlive: 1500 * time.Millisecond}, false},
		{"KeepAlive", device.Options{KeepAlive: -time.Second}, false},
		{"TokenTTL", device.Options{TokenTTL: time.Second}, true},
		{"TokenTTL", device.Options{TokenTTL: time.Second - 1}, false},
		{"TokenTTL", device.Options{TokenTTL: 366 * 24 * time.Hour}, false},
		{"MaxInFlight", device.Options{MaxInFlight: 10_000}, true},
		{"MaxInFlight", device.Options{MaxInFlight: 10_001}, false},
		{"MaxInFlight", device.Options{MaxInFlight: -1}, false},
		{"Backoff", device.Options{Backoff: device.Backoff{Min: time.Minute}}, true},
		{"Backoff", device.Options{Backoff: device.Backoff{Min: 2, Max: 1}}, false},
	}
	for _, row := range rows {
		_, err := device.NewFromConnectionString(testConnectionString, &row.opts)
		if (err == nil) != row.ok || err != nil && !strings.Contains(err.Error(), row.name) {
			t.Errorf("%s: error %v, want ok %v", row.name, err, row.ok)
		}
	}
}

func TestConnect_refusalsAreTyped(t *testing.T) {
	for code, want := range map[byte]hubward.Code{
		mqttwire.RefusedProtocol:       hubward.CodeInvalidProtocolVersion,
		mqttwire.RefusedIdentifier:     hubward.CodeArgumentInvalid,
		mqttwire.RefusedUnavailable:    hubward.CodeServiceUnavailable,
		mqttwire.RefusedBadCredentials: hubward.CodeUnauthorizedAccess,
		mqttwire.RefusedNotAuthorized:  hubward.CodeUnauthorizedAccess,
		99:                             hubward.CodeServerError,
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newPipes(t)
			client := n.client(device.Options{})
			result := make(chan error, 1)
			for _, again := range []byte{code, mqttwire.Accepted} { // a second Connect is allowed
				go func() { result <- client.Connect(t.Context()) }()
				p := <-n.peers
				p.connect()
				p.connack(again)
				err := <-result
				if again == mqttwire.Accepted {
					if err != nil {
						t.Errorf("second Connect: %v", err)
					}
					n.shut(client, p)
				} else if err == nil || hubward.CodeOf(err) != want {
					t.Errorf("code %d: %v, want %v", code, err, want)
				}
			}
		})
	}
}

func TestConnect_networkErrorIsWrapped(t *testing.T) {
	n := newPipes(t)
	cause := errors.New("no route")
	n.refuse(cause)
	err := n.client(device.Options{}).Connect(t.Context())
	if !errors.Is(err, cause) || hubward.CodeOf(err) != hubward.CodeServiceUnavailable || !strings.Contains(err.Error(), "hub.example:8883") {
		t.Errorf("error %v", err)
	}
}

func TestConnect_untrustedCertificateSaysSo(t *testing.T) {
	hub, err := startFakeHub()
	if err != nil {
		t.Fatal(err)
	}
	defer hub.stop()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: x509.NewCertPool()})
	if err != nil {
		t.Fatal(err)
	}
	err = client.Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not trusted, see Options.CA") {
		t.Errorf("error %v", err)
	}
}

func TestConnect_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := make(chan error, 1)
		client := n.client(device.Options{})
		go func() { result <- client.Connect(ctx) }()
		p := <-n.peers
		p.connect() // and no answer
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		p.gone()
	})
}

func TestConnect_hasAnEndOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		result := make(chan error, 1)
		go func() { result <- n.client(device.Options{}).Connect(t.Context()) }()
		p, start := <-n.peers, time.Now()
		p.connect()
		if err := <-result; err == nil || time.Since(start) != 30*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		p.gone()
	})
}

func TestConnect_answersThatAreNone(t *testing.T) {
	for name, answer := range map[string][]byte{
		"another packet": mqttwire.AppendPingresp(nil),
		"MQTT 5":         mqttwire.AppendConnackV5(nil, mqttwire.ReasonUnsupportedVersion),
		"not MQTT":       []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newPipes(t)
			result := make(chan error, 1)
			go func() { result <- n.client(device.Options{}).Connect(t.Context()) }()
			p := <-n.peers
			p.connect()
			go p.nc.Write(answer) // the client may close before it has read all
			if err := <-result; hubward.CodeOf(err) != hubward.CodeServiceUnavailable {
				t.Errorf("%s: error %v", name, err)
			}
			p.nc.Close()
		})
	}
}

func TestConnect_twiceDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		if err := client.Connect(t.Context()); err != nil || len(n.dials()) != 1 {
			t.Errorf("error %v, %d dials", err, len(n.dials()))
		}
		n.shut(client, p)
		if err := client.Connect(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
