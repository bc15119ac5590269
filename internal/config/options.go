package config

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hostname"
)

// Option describes one option to whoever shows it or reads it: the command line, help pages.
type Option struct {
	Path       string // "listen.mqtts"
	Flag       string // "mqtts"
	Value      string // what the value is, one word for a help page: "ADDRESS"
	Usage      string
	Repeatable bool

	get func(*Config) []string
	set func(*Config, []string) error
}

// Env is the environment variable of the option: HUBWARD_ and the flag's name. A repeatable option takes a list that
// is separated by commas there.
func (o Option) Env() string {
	return "HUBWARD_" + strings.ToUpper(strings.ReplaceAll(o.Flag, "-", "_"))
}

// Default returns the option's default as the command line would give it.
func (o Option) Default() []string {
	c := Default()
	return o.get(&c)
}

// Options lists all options in the order of the help page.
func Options() []Option { return slices.Clone(options) }

var options = []Option{
	text("data", "data", "FOLDER", "folder that holds all state", func(c *Config) *string { return &c.Data }),
	{
		Path: "hostname", Flag: "hostname", Value: "NAME", Repeatable: true,
		Usage: "host name of the hub (repeatable; the first one goes into connection strings)",
		get:   func(c *Config) []string { return c.HostNames },
		set:   setHostNames,
	},
	text("hub", "hub", "NAME", "name of the first hub, also its Event-Hubs-compatible name", func(c *Config) *string { return &c.Hub }),
	address("mqtts", "MQTT over TLS (SDKs cannot be told another port)", func(c *Config) *string { return &c.Listen.MQTTS }),
	address("amqps", "AMQP over TLS, for devices, back ends and readers of telemetry (many SDKs cannot be told another port)", func(c *Config) *string { return &c.Listen.AMQPS }),
	address("https", "HTTPS, and MQTT and AMQP by WebSocket (SDKs cannot be told another port)", func(c *Config) *string { return &c.Listen.HTTPS }),
	address("amqp", "AMQP without TLS, for UseDevelopmentEmulator=true: passwords travel in the clear",
		func(c *Config) *string { return &c.Listen.AMQP }),
	address("admin", "metrics, health and profiles, without log-in: keep it on loopback", func(c *Config) *string { return &c.Listen.Admin }),
	count("listen.max-connections", "max-connections", "most connections at a time; 0: as many as the limit of open files allows",
		func(c *Config) *int { return &c.Listen.MaxConnections }),
	count("listen.max-mqtt-connections", "max-mqtt-connections", "most of them that speak MQTT, by WebSocket too; 0: three of five",
		func(c *Config) *int { return &c.Listen.MaxMQTT }),
	count("listen.max-amqp-connections", "max-amqp-connections", "most of them that speak AMQP, by WebSocket too; 0: one of five",
		func(c *Config) *int { return &c.Listen.MaxAMQP }),
	count("listen.max-https-connections", "max-https-connections", "most of them that speak HTTPS; 0: one of five",
		func(c *Config) *int { return &c.Listen.MaxHTTPS }),
	count("listen.max-connections-per-address", "max-connections-per-address", "most of them from one IPv4 address or IPv6 /64 network, but this machine; 0: any number",
		func(c *Config) *int { return &c.Listen.MaxPerAddress }),
	count("listen.max-connected-per-hub", "max-connected-per-hub", "most devices and modules of one hub that are connected at a time; 0: any number",
		func(c *Config) *int { return &c.Listen.MaxPerHub }),
	count("partitions", "partitions", "partitions of the first hub, fixed when it is created", func(c *Config) *int { return &c.Partitions }),
	{
		Path: "retention", Flag: "retention", Value: "DURATION",
		Usage: "how long the first hub keeps telemetry, e.g. 36h or 7d",
		get:   func(c *Config) []string { return []string{c.Retention.String()} },
		set: func(c *Config, values []string) error {
			d, err := hubward.ParseDuration(values[0])
			if err != nil {
				return errors.New("not a duration such as 90m, 36h or 7d")
			}
			c.Retention = d
			return nil
		},
	},
	text("tls.certificate", "tls-certificate", "FILE", "PEM file with the server's certificate and its chain, in place of our own authority's",
		func(c *Config) *string { return &c.TLS.Certificate }),
	text("tls.key", "tls-key", "FILE", "PEM file with the key of --tls-certificate", func(c *Config) *string { return &c.TLS.Key }),
	text("tls.ca", "tls-ca", "FILE", "PEM file that clients need to trust for --tls-certificate", func(c *Config) *string { return &c.TLS.CA }),
	text("tls.key-type", "tls-key-type", "TYPE", "key of the certificate that our own authority issues: ecdsa or rsa",
		func(c *Config) *string { return &c.TLS.KeyType }),
	text("revoked", "revoked", "FOLDER", "folder with lists of revoked client certificates, read again when they change; see docs/certificates.md",
		func(c *Config) *string { return &c.Revoked }),
	text("log.level", "log-level", "LEVEL", "debug, info, warn or error", func(c *Config) *string { return &c.Log.Level }),
	text("log.format", "log-format", "FORMAT", "text or json", func(c *Config) *string { return &c.Log.Format }),
	{
		Path: "log.amqp-trace", Flag: "amqp-trace", Value: "PEER", Repeatable: true,
		Usage: `log the frames of AMQP connections from an IP address, or with a container id that begins so; "*": of all (repeatable)`,
		get:   func(c *Config) []string { return c.Log.AMQPTrace },
		set:   setAMQPTrace,
	},
}

func text(path, flag, value, usage string, field func(*Config) *string) Option {
	return Option{
		Path: path, Flag: flag, Value: value, Usage: usage,
		get: func(c *Config) []string { return []string{*field(c)} },
		set: func(c *Config, values []string) error {
			*field(c) = values[0]
			return nil
		},
	}
}

// address makes a listener's option. "off" is the spelling of an empty address where an empty value means "not set".
func address(name, usage string, field func(*Config) *string) Option {
	o := text("listen."+name, name, "ADDRESS", `listener ("off": none): `+usage, field)
	o.set = func(c *Config, values []string) error {
		*field(c) = values[0]
		if strings.EqualFold(values[0], "off") {
			*field(c) = ""
		}
		return nil
	}
	return o
}

func count(path, flag, usage string, field func(*Config) *int) Option {
	return Option{
		Path: path, Flag: flag, Value: "NUMBER", Usage: usage,
		get: func(c *Config) []string { return []string{strconv.Itoa(*field(c))} },
		set: func(c *Config, values []string) error {
			n, err := strconv.Atoi(values[0])
			if err != nil {
				return errors.New("not a whole number")
			}
			*field(c) = n
			return nil
		},
	}
}

func setHostNames(c *Config, values []string) error {
	c.HostNames = nil
	for _, name := range split(values) {
		if canonical, err := hostname.Parse(name); err == nil { // else Validate says why not
			name = canonical
		}
		c.HostNames = append(c.HostNames, name)
	}
	return nil
}

// setAMQPTrace writes addresses in their usual form, in which they are compared. An empty list, or one empty text,
// traces nobody: it takes back what a source of lower rank said.
func setAMQPTrace(c *Config, values []string) error {
	c.Log.AMQPTrace = nil
	for _, pattern := range split(values) {
		if address, err := netip.ParseAddr(strings.Trim(pattern, "[]")); err == nil {
			pattern = address.Unmap().String()
		}
		if pattern != "" || len(values) > 1 {
			c.Log.AMQPTrace = append(c.Log.AMQPTrace, pattern)
		}
	}
	return nil
}

// split takes lists apart that are separated by commas.
func split(values []string) []string {
	var all []string
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			all = append(all, strings.TrimSpace(item))
		}
	}
	return all
}
