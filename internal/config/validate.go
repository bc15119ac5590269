package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward/internal/hostname"
)

// Bounds of the values; those of a hub repeat what package hub allows, so that all errors come at once.
const (
	maxPartitions     = 32
	minRetention      = time.Minute
	maxRetention      = 10 * 365 * 24 * time.Hour
	maxHubName        = 50
	maxHostNames      = 16
	maxMaxConnections = 1 << 20
	maxTracePatterns  = 32
	maxTracePattern   = 128
)

// problems gathers what is wrong with a Config.
type problems []error

// add notes a problem of the option with that path.
func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

// Validate joins all that is wrong with c; each error begins with the path of its option.
func (c *Config) Validate() error {
	var p problems
	if c.Data == "" {
		p.add("data", "the folder has no name")
	}
	c.checkHostNames(&p)
	if !validHubName(c.Hub) {
		p.add("hub", "%.60q: a hub's name has 1 to %d letters, digits and inner hyphens", c.Hub, maxHubName)
	}
	if c.Partitions < 1 || c.Partitions > maxPartitions {
		p.add("partitions", "%d: not within 1 to %d", c.Partitions, maxPartitions)
	}
	if c.Retention < minRetention || c.Retention > maxRetention {
		p.add("retention", "%s: not within %s to %s", c.Retention, minRetention, maxRetention)
	}
	c.checkListeners(&p)
	c.checkTLS(&p)
	oneOf(&p, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf(&p, "log.format", c.Log.Format, "text", "json")
	c.checkAMQPTrace(&p)
	return errors.Join(p...)
}

func (c *Config) checkHostNames(p *problems) {
	if len(c.HostNames) == 0 || len(c.HostNames) > maxHostNames {
		p.add("hostname", "there are %d names, a hub has 1 to %d", len(c.HostNames), maxHostNames)
		return
	}
	for i, name := range c.HostNames {
		if _, err := hostname.Parse(name); err != nil {
			p.add("hostname", "%.80q: %w", name, err)
		}
		if slices.Contains(c.HostNames[:i], name) {
			p.add("hostname", "%.80q: given twice", name)
		}
	}
}

func validHubName(name string) bool { return len(name) <= maxHubName && validName(name) }

// validName reports whether name has only letters, digits and inner hyphens, and at least one of them.
func validName(name string) bool {
	if name == "" || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for _, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
		if !ok {
			return false
		}
	}
	return true
}

func (c *Config) checkListeners(p *problems) {
	listeners := []struct{ path, address string }{
		{"listen.mqtts", c.Listen.MQTTS},
		{"listen.amqps", c.Listen.AMQPS},
		{"listen.https", c.Listen.HTTPS},
		{"listen.amqp", c.Listen.AMQP},
		{"listen.admin", c.Listen.Admin},
	}
	seen := map[string]string{}
	for _, l := range listeners {
		if l.address == "" {
			continue
		}
		port, err := checkAddress(l.address)
		if err != nil {
			p.add(l.path, "%.80q: %w", l.address, err)
		} else if other, taken := seen[l.address]; taken && port != 0 {
			p.add(l.path, "%q: %s listens there already", l.address, other)
		}
		seen[l.address] = l.path
	}
	if c.Listen.MQTTS == "" && c.Listen.AMQPS == "" && c.Listen.HTTPS == "" && c.Listen.AMQP == "" {
		p.add("listen", "mqtts, amqps, https and amqp are all off: nothing would be served")
	}
	c.checkLimits(p)
}

func (c *Config) checkLimits(p *problems) {
	l := &c.Listen
	for _, o := range []struct {
		path string
		n    int
	}{
		{"listen.max-connections", l.MaxConnections},
		{"listen.max-mqtt-connections", l.MaxMQTT}, {"listen.max-amqp-connections", l.MaxAMQP}, {"listen.max-https-connections", l.MaxHTTPS},
		{"listen.max-connections-per-address", l.MaxPerAddress}, {"listen.max-connected-per-hub", l.MaxPerHub},
	} {
		if o.n < 0 || o.n > maxMaxConnections {
			p.add(o.path, "%d: not within 0 to %d", o.n, maxMaxConnections)
		}
	}
	if parts := l.MaxMQTT + l.MaxAMQP + l.MaxHTTPS; l.MaxConnections > 0 && parts > l.MaxConnections {
		p.add("listen.max-connections", "%d: those of single protocols are %d together", l.MaxConnections, parts)
	}
}

func checkAddress(address string) (port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return 0, errors.New("not host:port")
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" { // here an address may have a zone
		if _, err := hostname.Parse(host); err != nil {
			return 0, fmt.Errorf("%.80q is no host name or IP address", host)
		}
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return 0, fmt.Errorf("port %.20q is not within 0 to 65535", portText)
	}
	return port, nil
}

func (c *Config) checkTLS(p *problems) {
	if c.TLS.Certificate == "" && c.TLS.Key != "" {
		p.add("tls.certificate", "tls.key is given, so this has to be too")
	}
	if c.TLS.Certificate != "" && c.TLS.Key == "" {
		p.add("tls.key", "tls.certificate is given, so this has to be too")
	}
	if c.TLS.Certificate == "" && c.TLS.CA != "" {
		p.add("tls.ca", "is for a given tls.certificate; our own authority's is tls/ca.pem in the data folder")
	}
	oneOf(p, "tls.key-type", c.TLS.KeyType, "ecdsa", "rsa")
}

func (c *Config) checkAMQPTrace(p *problems) {
	const path = "log.amqp-trace"
	if len(c.Log.AMQPTrace) > maxTracePatterns {
		p.add(path, "%d entries, and at most %d are taken", len(c.Log.AMQPTrace), maxTracePatterns)
		return
	}
	for _, pattern := range c.Log.AMQPTrace {
		if err := checkTracePattern(pattern); err != nil {
			p.add(path, "%.60q: %w", pattern, err)
		}
	}
}

// checkTracePattern accepts "*", IP addresses, and what a container id can begin with: any printable text, except what
// somebody wrote who meant an address.
func checkTracePattern(pattern string) error {
	if pattern == "" || len(pattern) > maxTracePattern {
		return fmt.Errorf("not 1 to %d characters", maxTracePattern)
	}
	if _, err := netip.ParsePrefix(pattern); err == nil {
		return errors.New("a network; give single addresses")
	}
	if _, err := netip.ParseAddrPort(pattern); err == nil {
		return errors.New("an address with a port; leave the port out")
	}
	if strings.Contains(pattern, "*") && pattern != "*" {
		return errors.New(`"*" stands alone; a container id is compared from its beginning anyway`)
	}
	for _, r := range pattern {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return errors.New("not printable text")
		}
	}
	return nil
}

func oneOf(p *problems, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(path, "%.40q: not one of %s", value, strings.Join(allowed, ", "))
	}
}
