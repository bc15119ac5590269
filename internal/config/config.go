// Package config turns a TOML file, the environment and the command line into one Config. Flags win over the
// environment, which wins over the file, which wins over Default. Nothing below package app reads a Config: app passes
// plain values on.
//
// Every option has one path, under which errors name it and the file holds it ("listen.mqtts" is mqtts in the table
// [listen]), one flag ("--mqtts") and one variable ("HUBWARD_MQTTS"). Options lists them all.
package config

import (
	"slices"
	"time"
)

// Config is everything that an operator can choose for one process.
type Config struct {
	Data       string        // the folder that holds all state
	HostNames  []string      // of the first hub; the first one goes into connection strings; a stored hub keeps its own unless Given
	Hub        string        // name of the first hub: 1 to 50 letters, digits and inner hyphens
	Partitions int           // of the first hub: 1 to 32, fixed when the hub is created
	Retention  time.Duration // of the first hub's telemetry: one minute to ten years; likewise
	Listen     Listen
	TLS        TLS
	Revoked    string // folder with lists of revoked client certificates; empty: none is revoked
	Log        Log

	given []string // paths of the options that somebody set; the rest have their defaults
}

// Listen holds listener addresses, host:port; an empty host means all addresses, IPv4 and IPv6. An empty address
// switches the listener off.
type Listen struct {
	MQTTS string // MQTT over TLS
	AMQPS string // AMQP over TLS: the Event-Hubs-compatible endpoint
	HTTPS string // REST calls, and MQTT and AMQP by WebSocket
	AMQP  string // AMQP without TLS: passwords travel in the clear
	Admin string // metrics, health, profiles: without TLS and log-in, so for loopback

	// MaxConnections bounds the connections of all listeners but Admin together; zero: as many as the limit of open files
	// leaves room for. Each protocol has a part of them, see Shares.
	MaxConnections int
	// MaxMQTT, MaxAMQP and MaxHTTPS bound the connections of a protocol. MQTT and AMQP by WebSocket are theirs, not those of
	// HTTPS. Zero: a share of what the others leave.
	MaxMQTT, MaxAMQP, MaxHTTPS int
	// MaxPerAddress bounds the connections from one address, of all protocols together: an IPv4 address, or the /64 network of
	// an IPv6 address. Those from this machine are not counted. Zero: any number.
	MaxPerAddress int
	// MaxPerHub bounds the devices and modules of one hub that are connected at a time. Zero: any number.
	MaxPerHub int
}

// Shares returns how many connections each protocol may have when there may be total of them. What is given stays, what it
// leaves goes to those that have nothing: three parts to MQTT, one each to AMQP and HTTPS, none to what no listener leads to.
// Each gets one at least.
func (l *Listen) Shares(total int) (mqtt, amqp, https int) {
	on := func(parts int, addresses ...string) int {
		for _, address := range append(addresses, l.HTTPS) { // which leads to all, by WebSocket
			if address != "" {
				return parts
			}
		}
		return 0
	}
	shares := []struct {
		n     *int
		given int
		parts int
	}{
		{&mqtt, l.MaxMQTT, on(3, l.MQTTS)},
		{&amqp, l.MaxAMQP, on(1, l.AMQPS, l.AMQP)},
		{&https, l.MaxHTTPS, on(1)},
	}
	parts := 0
	for _, s := range shares {
		if s.given > 0 {
			total -= s.given
		} else {
			parts += s.parts
		}
	}
	for _, s := range shares {
		*s.n = max(1, s.given)
		if s.given == 0 && s.parts > 0 {
			*s.n = max(1, total*s.parts/parts)
		}
	}
	return mqtt, amqp, https
}

// TLS says where the server's certificate comes from.
type TLS struct {
	// Certificate and Key are PEM files that replace the certificate of the own authority. Both or neither are set.
	Certificate string
	Key         string
	// CA is the file that clients have to trust when Certificate is set and no public authority issued it.
	CA      string
	KeyType string // of a certificate that the own authority issues: "ecdsa" (P-256) or "rsa" (2048 bits)
}

// Log says what is logged, on standard error.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "text" or "json"
	// AMQPTrace says which AMQP connections' frames are logged: by the peer's IP address, by what its container id begins
	// with, or all of them for "*".
	AMQPTrace []string
}

// Default returns the configuration that applies when nobody sets anything.
func Default() Config {
	return Config{
		Data:       "./hubward-data",
		HostNames:  []string{"localhost"},
		Hub:        "hubward",
		Partitions: 4,
		Retention:  24 * time.Hour,
		Listen:     Listen{MQTTS: ":8883", AMQPS: ":5671", HTTPS: ":443", Admin: "127.0.0.1:9601", MaxPerAddress: 10_000},
		TLS:        TLS{KeyType: "ecdsa"},
		Log:        Log{Level: "info", Format: "text"},
	}
}

// Given reports whether the file, the environment or a flag set the option with that path, to whatever value. It lets
// app tell "wants the default" from "said nothing" for what a stored hub has already.
func (c *Config) Given(path string) bool { return slices.Contains(c.given, path) }

// Changed lists the paths of the options whose values differ between a and b, in the order of Options.
func Changed(a, b Config) []string {
	var paths []string
	for _, o := range options {
		if !slices.Equal(o.get(&a), o.get(&b)) {
			paths = append(paths, o.Path)
		}
	}
	return paths
}
