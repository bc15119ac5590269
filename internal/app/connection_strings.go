package app

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

const connectionStringsFile = "connection-strings.env"

// servicePolicy is the default policy that may read events and send to devices, and no more.
const servicePolicy = "service"

// defaultAMQPPort is where clients of UseDevelopmentEmulator=true go when the endpoint names no port.
const defaultAMQPPort = "5672"

// refresh brings what depends on the hubs' configurations up to date: what is counted, the names in the certificate, and
// the connection strings of the first hub. always rewrites the file even if nothing in it has changed.
func (a *App) refresh(always bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return err
	}
	groups := make(map[string][]string, len(hubs))
	for i := range hubs {
		groups[hubs[i].Name] = hubs[i].ConsumerGroups
	}
	a.metrics.KeepHubs(groups)
	names, err := a.certificateNames(hubs)
	if err != nil {
		return err
	}
	if !sameNames(names, a.names) {
		if err := a.certs.Reload(names); err != nil {
			return err
		}
		a.names = names
	}
	if len(hubs) == 0 {
		return nil
	}
	text := connectionStrings(hubs[0], cmp.Or(a.plainAMQP, a.cfg.Listen.AMQP), a.caFile())
	if bytes.Equal(text, a.wrote) && !always {
		return nil
	}
	if err := listen.ReplaceFile(filepath.Join(a.cfg.Data, connectionStringsFile), text, 0o600); err != nil {
		return err
	}
	a.wrote = text
	return nil
}

// caFile is what clients have to trust, as an absolute path if there is a way to tell.
func (a *App) caFile() string {
	file := a.certs.CAFile()
	if file == "" {
		file = a.cfg.TLS.CA
	}
	if abs, err := filepath.Abs(file); err == nil && file != "" {
		return abs
	}
	return file
}

// connectionStrings makes the file that scripts source and the client commands read: NAME='VALUE' lines. A variable
// whose policy was deleted is absent, and so is HUBWARD_CA when there is no file to trust. plainAMQP is the address of
// the AMQP listener without TLS, empty when there is none.
func connectionStrings(c hub.Config, plainAMQP, ca string) []byte {
	var out bytes.Buffer
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%s=%s\n", name, quote(value))
		}
	}
	host := "localhost" // the first hub answers to it whatever it is called
	if len(c.HostNames) > 0 {
		host = bracket(c.HostNames[0])
	}
	add("HUBWARD_CONNECTION_STRING", policyString(c, hub.OwnerPolicy, sas.ConnectionString{HostName: host}))
	add("HUBWARD_SERVICE_CONNECTION_STRING", policyString(c, servicePolicy, sas.ConnectionString{HostName: host}))
	add("HUBWARD_EVENTHUB_CONNECTION_STRING",
		policyString(c, servicePolicy, sas.ConnectionString{Endpoint: "sb://" + host + "/", EntityPath: c.Name}))
	if plainAMQP != "" {
		endpoint := "sb://" + emulatorHost(plainAMQP, host)
		if s := policyString(c, servicePolicy, sas.ConnectionString{Endpoint: endpoint, EntityPath: c.Name}); s != "" {
			add("HUBWARD_EMULATOR_CONNECTION_STRING", s+";UseDevelopmentEmulator=true")
		}
	}
	add("HUBWARD_CA", ca)
	return out.Bytes()
}

// policyString completes cs with a policy's name and primary key; empty when there is no such policy.
func policyString(c hub.Config, policy string, cs sas.ConnectionString) string {
	for _, p := range c.Policies {
		if p.Name == policy {
			cs.SharedAccessKeyName, cs.SharedAccessKey = p.Name, p.PrimaryKey
			return cs.String()
		}
	}
	return ""
}

// emulatorHost is where the plain AMQP listener is reached: clients want localhost for one on this machine, and a port
// where it is not the usual one.
//
// Source: learn.microsoft.com/azure/event-hubs/test-locally-with-event-hub-emulator.
func emulatorHost(address, host string) string {
	bound, port, _ := net.SplitHostPort(address) // Validate has seen it, or the system has written it
	if ip, err := netip.ParseAddr(bound); bound == "" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	if port != defaultAMQPPort {
		host += ":" + port
	}
	return host
}

// bracket writes an IPv6 address as URLs do.
func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// quote makes a shell word that stands for s literally; without a ' in s it is s between two of them.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
