package device

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// apiVersion is the version of the service's interface that the user name asks for.
const apiVersion = "2021-04-12"

// renewPercent is the share of a token's life after which the client makes a new one.
const renewPercent = 85

// account is where a client connects and as whom.
type account struct {
	address  string // to dial, with port
	server   string // the name that the server's certificate must hold
	hub      string // the hub's host name, without port
	identity hubward.Identity

	policy string // of the key, empty for a device key
	key    string // base64
	ready  string // a token made by somebody else; then key is empty

	byCertificate bool // the log-in is the certificate of the TLS handshake; then there is no token
}

// parseAccount reads a device's connection string. port is dialled when it names none. Its errors quote no secret.
func parseAccount(text, port string) (account, error) {
	refuse := func(format string, args ...any) (account, error) {
		return account{}, hubward.Errorf(hubward.CodeArgumentInvalid, "connection string: "+format, args...)
	}
	cs, err := sas.ParseConnectionString(text)
	if err != nil {
		return account{}, hubward.Errorf(hubward.CodeArgumentInvalid, "%v", err)
	}
	switch {
	case cs.HostName == "":
		return refuse("it names no HostName")
	case cs.DeviceID == "":
		return refuse("it names no DeviceId: a device's connection string is needed, not one of a policy")
	case cs.X509 && (cs.SharedAccessKey != "" || cs.SharedAccessSignature != ""):
		return refuse("it has x509=true and a key or a token: a log-in is by one of them")
	case !cs.X509 && cs.SharedAccessKey == "" && cs.SharedAccessSignature == "":
		return refuse("it has neither SharedAccessKey nor SharedAccessSignature nor x509=true")
	case cs.SharedAccessKey != "" && cs.SharedAccessSignature != "":
		return refuse("it has both SharedAccessKey and SharedAccessSignature")
	}
	if err := hubward.ValidateID(cs.DeviceID); err != nil {
		return refuse("DeviceId: %v", err)
	}
	if cs.ModuleID != "" {
		if err := hubward.ValidateID(cs.ModuleID); err != nil {
			return refuse("ModuleId: %v", err)
		}
	}
	a := account{
		hub:      sas.TrimPort(cs.HostName),
		identity: hubward.Identity{Device: cs.DeviceID, Module: cs.ModuleID},
		policy:   cs.SharedAccessKeyName,
		key:      cs.SharedAccessKey,
		ready:    cs.SharedAccessSignature,

		byCertificate: cs.X509,
	}
	a.dialTo(cs, port)
	if a.byCertificate {
		return a, nil
	}
	if _, _, err := a.token(time.Unix(0, 0), time.Hour); err != nil {
		return refuse("%v", err)
	}
	return a, nil
}

// dialTo sets the address: the gateway's where there is one, with the port of the name or else the given one.
func (a *account) dialTo(cs sas.ConnectionString, port string) {
	name := cs.HostName
	if cs.GatewayHostName != "" {
		name = cs.GatewayHostName
	}
	a.server = sas.TrimPort(name)
	a.address = net.JoinHostPort(a.server, port)
	if _, port, err := net.SplitHostPort(name); err == nil && port != "" {
		a.address = net.JoinHostPort(a.server, port)
	}
}

// token returns what to log in with, and how long from now until it should be replaced: never when that is 0. A ready
// token that cannot be read is an error.
func (a *account) token(now time.Time, ttl time.Duration) (token string, renew time.Duration, err error) {
	if a.ready != "" {
		_, err := sas.Parse(a.ready)
		return a.ready, 0, err
	}
	token, err = sas.Sign(a.resource(), a.key, a.policy, now.Add(ttl))
	return token, ttl * renewPercent / 100, err
}

// unauthorized is what a client says when the hub refuses its log-in: a hub does not tell why.
func (a *account) unauthorized() string {
	credential := "key"
	if a.byCertificate {
		credential = "certificate"
	}
	return "the hub refused the log-in: check that the device is registered and enabled, its " + credential + ", and the clock"
}

// resource is what a token of the device is good for.
func (a *account) resource() string {
	resource := a.hub + "/devices/" + a.identity.Device
	if a.identity.Module != "" {
		resource += "/modules/" + a.identity.Module
	}
	return resource
}

// userName returns the MQTT user name.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub.
func (a *account) userName(product, model string) string {
	name := a.hub + "/" + a.identity.String() + "/?api-version=" + apiVersion + "&DeviceClientType=" + escape(product)
	if model != "" {
		name += "&model-id=" + escape(model)
	}
	return name
}

// escape percent-encodes all but unreserved characters.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
