package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/config"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hubward.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestLoad_defaults(t *testing.T) {
	c, err := config.Load(config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := config.Changed(config.Default(), c); diff != nil {
		t.Errorf("changed without a source: %v", diff)
	}
	if c.Given("partitions") {
		t.Error("partitions are given by nobody")
	}
}

func TestLoad_precedence(t *testing.T) {
	file := writeFile(t, "partitions = 1\n[listen]\nmqtts = \"127.0.0.1:1\"\n")
	vars := map[string]string{"HUBWARD_PARTITIONS": "2", "HUBWARD_MQTTS": "127.0.0.1:2"}
	flags := map[string][]string{"partitions": {"3"}, "mqtts": {"127.0.0.1:3"}}
	tests := []struct {
		name       string
		source     config.Source
		partitions int
		mqtts      string
	}{
		{"file", config.Source{File: file}, 1, "127.0.0.1:1"},
		{"environment over file", config.Source{File: file, Getenv: env(vars)}, 2, "127.0.0.1:2"},
		{"flags over both", config.Source{File: file, Getenv: env(vars), Flags: flags}, 3, "127.0.0.1:3"},
		{"file named by the environment", config.Source{Getenv: env(map[string]string{"HUBWARD_CONFIG": file})}, 1, "127.0.0.1:1"},
		{"flags alone", config.Source{Flags: flags}, 3, "127.0.0.1:3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if c.Partitions != tt.partitions || c.Listen.MQTTS != tt.mqtts {
				t.Errorf("partitions %d, mqtts %s; want %d, %s", c.Partitions, c.Listen.MQTTS, tt.partitions, tt.mqtts)
			}
			if !c.Given("partitions") || c.Given("hub") {
				t.Error("Given is wrong")
			}
		})
	}
}

func TestLoad_everyOptionFromFile(t *testing.T) {
	file := writeFile(t, `
data = "/srv/hub"
hostname = ["Hub.Example.com", "10.0.0.7", "fd00::7"]
hub = "plant-7"
partitions = 8
retention = "7d"
revoked = "/srv/revoked"
[listen]
mqtts = "off"
amqps = ""
https = "[::1]:8443"
amqp = "127.0.0.1:5672"
admin = "127.0.0.1:9602"
max-connections = 1000
max-mqtt-connections = 1
max-amqp-connections = 2
max-https-connections = 3
max-connections-per-address = 4
max-connected-per-hub = 5
[tls]
certificate = "c.pem"
key = "k.pem"
ca = "ca.pem"
key-type = "rsa"
[log]
level = "debug"
format = "json"
amqp-trace = ["fd00:0::7", "reader-"]
`)
	got, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Data, want.Hub, want.Partitions, want.Retention = "/srv/hub", "plant-7", 8, 7*24*time.Hour
	want.HostNames = []string{"hub.example.com", "10.0.0.7", "fd00::7"}
	want.Revoked = "/srv/revoked"
	want.Listen = config.Listen{
		HTTPS: "[::1]:8443", AMQP: "127.0.0.1:5672", Admin: "127.0.0.1:9602",
		MaxConnections: 1000, MaxMQTT: 1, MaxAMQP: 2, MaxHTTPS: 3, MaxPerAddress: 4, MaxPerHub: 5,
	}
	want.TLS = config.TLS{Certificate: "c.pem", Key: "k.pem", CA: "ca.pem", KeyType: "rsa"}
	want.Log = config.Log{Level: "debug", Format: "json", AMQPTrace: []string{"fd00::7", "reader-"}}
	if diff := config.Changed(want, got); diff != nil {
		t.Errorf("options with other values than in the file: %v", diff)
	}
	for _, o := range config.Options() {
		if !got.Given(o.Path) {
			t.Errorf("%s is in the file, but not given", o.Path)
		}
	}
}

// What Notepad and PowerShell write.
func TestLoad_encodings(t *testing.T) {
	c, err := config.Load(config.Source{File: writeFile(t, "\uFEFFpartitions = 3\n")})
	if err != nil || c.Partitions != 3 {
		t.Errorf("with a byte order mark: %d partitions, %v", c.Partitions, err)
	}
	for text, want := range map[string]string{
		"\xFF\xFEp\x00a\x00":  "UTF-16",
		"hub = \"caf\xE9\"\n": "it is not UTF-8: byte 11",
	} {
		file := writeFile(t, text)
		if _, err := config.Load(config.Source{File: file}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestLoad_hostNames(t *testing.T) {
	tests := []struct {
		name   string
		source config.Source
	}{
		{"one text in the file", config.Source{File: writeFile(t, `hostname = "a.example,b"`)}},
		{"variable", config.Source{Getenv: env(map[string]string{"HUBWARD_HOSTNAME": "A.example, b"})}},
		{"dots at the end", config.Source{File: writeFile(t, `hostname = ["a.example.", "B."]`)}},
		{"repeated flag", config.Source{Flags: map[string][]string{"hostname": {"a.example", "b"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a.example", "b"}, c.HostNames); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoad_amqpTrace(t *testing.T) {
	tests := []struct {
		name   string
		source config.Source
		want   []string
	}{
		{"variable", config.Source{Getenv: env(map[string]string{"HUBWARD_AMQP_TRACE": "reader-, ::ffff:192.0.2.7 ,[::1]"})}, []string{"reader-", "192.0.2.7", "::1"}},
		{"repeated flag", config.Source{Flags: map[string][]string{"amqp-trace": {"*", "Reader"}}}, []string{"*", "Reader"}},
		{"taken back", config.Source{
			File: writeFile(t, "[log]\namqp-trace = \"*\"\n"), Flags: map[string][]string{"amqp-trace": {""}},
		}, nil},
		{"empty list", config.Source{File: writeFile(t, "[log]\namqp-trace = []\n")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Log.AMQPTrace); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoad_listenerOff(t *testing.T) {
	for _, off := range []string{"", "off", "OFF"} {
		c, err := config.Load(config.Source{Flags: map[string][]string{"admin": {off}}})
		if err != nil || c.Listen.Admin != "" {
			t.Errorf("--admin %q: address %q, error %v", off, c.Listen.Admin, err)
		}
	}
}

func TestLoad_fileErrorsNameFileLineAndKey(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string // after the file's name
	}{
		{"unknown key", "hub = \"h\"\nhubb = \"h\"\n", []string{`:2: unknown key "hubb"`}},
		{"two unknown keys", "x = 1\n[listen]\nmqqts = \":1\"\n", []string{`:1: unknown key "x"`, `:3: unknown key "listen.mqqts"`}},
		{"unknown table", "[lissen]\nmqtts = \":1\"\n", []string{`:1: unknown key "lissen"`}},
		{"no TOML", "hub = \"h\"\nhub =\n", []string{":2: "}},
		{"text in place of a table", "listen = \":8883\"\n", []string{":1: listen: "}},
		{"bool", "hub = true\n", []string{": hub: wants a text"}},
		{"list of numbers", "hostname = [1]\n", []string{": hostname: a list holds texts only"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, tt.file)
			_, err := config.Load(config.Source{File: file})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), file+want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestLoad_missingFile(t *testing.T) {
	_, err := config.Load(config.Source{File: filepath.Join(t.TempDir(), "none.toml")})
	if err == nil || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("error %v", err)
	}
}

func TestLoad_allErrorsAtOnce(t *testing.T) {
	file := writeFile(t, "nonsense = 1\nretention = \"soon\"\nhub = [\"a\", \"b\"]\n")
	_, err := config.Load(config.Source{
		File:   file,
		Getenv: env(map[string]string{"HUBWARD_PARTITIONS": "four"}),
		Flags:  map[string][]string{"mqtts": {"foo"}, "tls-key": {"k.pem"}, "log-level": {"loud"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		file + `:1: unknown key "nonsense"`,
		"hub: takes one value, not 2",
		`retention: "soon": not a duration such as 90m, 36h or 7d`,
		`partitions: "four": not a whole number`,
		`listen.mqtts: "foo": not host:port`,
		"tls.certificate: tls.key is given, so this has to be too",
		`log.level: "loud": not one of debug, info, warn, error`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*config.Config)
		want string // "" accepts
	}{
		{"no folder", func(c *config.Config) { c.Data = "" }, "data: "},
		{"no host name", func(c *config.Config) { c.HostNames = nil }, "hostname: there are 0 names"},
		{"host name with port", func(c *config.Config) { c.HostNames = []string{"h:8883"} }, `hostname: "h:8883": not a host name`},
		{"URL as host name", func(c *config.Config) { c.HostNames = []string{"https://h"} }, "hostname: "},
		{"wildcard", func(c *config.Config) { c.HostNames = []string{"*.example"} }, "hostname: "},
		{"long label", func(c *config.Config) { c.HostNames = []string{strings.Repeat("a", 64)} }, "hostname: "},
		{"longest label", func(c *config.Config) { c.HostNames = []string{strings.Repeat("a", 63)} }, ""},
		{"no number at the end", func(c *config.Config) { c.HostNames = []string{"hub.7"} }, "hostname: "},
		{"international name", func(c *config.Config) { c.HostNames = []string{"ünicode.org"} },
			"hostname: \"ünicode.org\": an international name is given as its A-labels: xn--nicode-2ya.org"},
		{"IPv6 zone", func(c *config.Config) { c.HostNames = []string{"fe80::1%eth0"} }, "hostname: "},
		{"host name twice", func(c *config.Config) { c.HostNames = []string{"h", "h"} }, `hostname: "h": given twice`},
		{"too many host names", func(c *config.Config) { c.HostNames = slices.Repeat([]string{"h"}, 17) }, "hostname: there are 17"},
		{"empty hub name", func(c *config.Config) { c.Hub = "" }, "hub: "},
		{"hub name of 50", func(c *config.Config) { c.Hub = strings.Repeat("h", 50) }, ""},
		{"hub name of 51", func(c *config.Config) { c.Hub = strings.Repeat("h", 51) }, "hub: "},
		{"dot in hub name", func(c *config.Config) { c.Hub = "a.b" }, "hub: "},
		{"hyphen at the end", func(c *config.Config) { c.Hub = "a-" }, "hub: "},
		{"no partition", func(c *config.Config) { c.Partitions = 0 }, "partitions: 0: not within 1 to 32"},
		{"32 partitions", func(c *config.Config) { c.Partitions = 32 }, ""},
		{"33 partitions", func(c *config.Config) { c.Partitions = 33 }, "partitions: "},
		{"short retention", func(c *config.Config) { c.Retention = time.Minute - 1 }, "retention: "},
		{"shortest retention", func(c *config.Config) { c.Retention = time.Minute }, ""},
		{"longest retention", func(c *config.Config) { c.Retention = 3650 * 24 * time.Hour }, ""},
		{"long retention", func(c *config.Config) { c.Retention = 3650*24*time.Hour + 1 }, "retention: "},
		{"port too high", func(c *config.Config) { c.Listen.HTTPS = ":65536" }, "listen.https: "},
		{"highest port", func(c *config.Config) { c.Listen.HTTPS = ":65535" }, ""},
		{"named port", func(c *config.Config) { c.Listen.HTTPS = ":https" }, "listen.https: "},
		{"bad host", func(c *config.Config) { c.Listen.Admin = "a b:1" }, "listen.admin: "},
		{"IPv6 with zone", func(c *config.Config) { c.Listen.Admin = "[fe80::1%eth0]:1" }, ""},
		{"AMQP is checked too", func(c *config.Config) { c.Listen.AMQP = "x" }, "listen.amqp: "},
		{"one address for two", func(c *config.Config) { c.Listen.HTTPS = ":8883" }, `listen.https: ":8883": listen.mqtts listens there already`},
		{"any port for two", func(c *config.Config) { c.Listen.HTTPS, c.Listen.MQTTS = ":0", ":0" }, ""},
		{"nothing served", func(c *config.Config) { c.Listen = config.Listen{Admin: ":1"} }, "listen: "},
		{"AMQP alone", func(c *config.Config) { c.Listen = config.Listen{AMQP: ":5672"} }, ""},
		{"negative limit", func(c *config.Config) { c.Listen.MaxConnections = -1 }, "listen.max-connections: "},
		{"negative limit of MQTT", func(c *config.Config) { c.Listen.MaxMQTT = -1 }, "listen.max-mqtt-connections: "},
		{"large limit of AMQP", func(c *config.Config) { c.Listen.MaxAMQP = 1<<20 + 1 }, "listen.max-amqp-connections: "},
		{"largest limit of HTTPS", func(c *config.Config) { c.Listen.MaxHTTPS = 1 << 20 }, ""},
		{"negative limit of an address", func(c *config.Config) { c.Listen.MaxPerAddress = -1 }, "listen.max-connections-per-address: "},
		{"no limit of an address", func(c *config.Config) { c.Listen.MaxPerAddress = 0 }, ""},
		{"large limit of an address", func(c *config.Config) { c.Listen.MaxPerAddress = 1<<20 + 1 }, "listen.max-connections-per-address: "},
		{"all that there is", func(c *config.Config) { c.Listen.MaxConnections, c.Listen.MaxMQTT, c.Listen.MaxAMQP = 10, 7, 3 }, ""},
		{"more than there is", func(c *config.Config) { c.Listen.MaxConnections, c.Listen.MaxMQTT, c.Listen.MaxAMQP = 10, 7, 4 }, "listen.max-connections: "},
		{"certificate without key", func(c *config.Config) { c.TLS.Certificate = "c.pem" }, "tls.key: "},
		{"CA without certificate", func(c *config.Config) { c.TLS.CA = "c.pem" }, "tls.ca: "},
		{"key type", func(c *config.Config) { c.TLS.KeyType = "dsa" }, `tls.key-type: "dsa": not one of ecdsa, rsa`},
		{"log format", func(c *config.Config) { c.Log.Format = "xml" }, "log.format: "},
		{"trace of all", func(c *config.Config) { c.Log.AMQPTrace = []string{"*"} }, ""},
		{"traces", func(c *config.Config) { c.Log.AMQPTrace = []string{"::1", "192.0.2.7", "EHConsumer-", "lecteur-é 1"} }, ""},
		{"trace of nobody in particular", func(c *config.Config) { c.Log.AMQPTrace = []string{"a", ""} }, `log.amqp-trace: "": `},
		{"long trace", func(c *config.Config) { c.Log.AMQPTrace = []string{strings.Repeat("a", 129)} }, "log.amqp-trace: "},
		{"trace of a network", func(c *config.Config) { c.Log.AMQPTrace = []string{"10.0.0.0/8"} }, `log.amqp-trace: "10.0.0.0/8": a network`},
		{"trace of a port", func(c *config.Config) { c.Log.AMQPTrace = []string{"[::1]:5671"} }, `log.amqp-trace: "[::1]:5671": an address with a port`},
		{"trace with a wildcard", func(c *config.Config) { c.Log.AMQPTrace = []string{"reader*"} }, `log.amqp-trace: "reader*": `},
		{"trace with a line end", func(c *config.Config) { c.Log.AMQPTrace = []string{"a\nb"} }, "log.amqp-trace: "},
		{"many traces", func(c *config.Config) { c.Log.AMQPTrace = slices.Repeat([]string{"a"}, 33) }, "log.amqp-trace: 33 entries"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config.Default()
			tt.edit(&c)
			err := c.Validate()
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %q...", err, tt.want)
			}
		})
	}
}

func TestChanged_namesPaths(t *testing.T) {
	a, b := config.Default(), config.Default()
	b.Listen.MQTTS, b.HostNames = ":1", []string{"x"}
	if diff := cmp.Diff([]string{"hostname", "listen.mqtts"}, config.Changed(a, b)); diff != "" {
		t.Error(diff)
	}
}

func TestShares(t *testing.T) {
	all := config.Listen{MQTTS: ":1", AMQPS: ":2", HTTPS: ":3"}
	tests := map[string]struct {
		edit  func(*config.Listen)
		total int
		want  [3]int // MQTT, AMQP, HTTPS
	}{
		"all":                      {func(*config.Listen) {}, 1000, [3]int{600, 200, 200}},
		"MQTT is given":            {func(l *config.Listen) { l.MaxMQTT = 100 }, 1000, [3]int{100, 450, 450}},
		"two are given":            {func(l *config.Listen) { l.MaxMQTT, l.MaxHTTPS = 100, 10 }, 1000, [3]int{100, 890, 10}},
		"all are given":            {func(l *config.Listen) { l.MaxMQTT, l.MaxAMQP, l.MaxHTTPS = 1, 2, 3 }, 1000, [3]int{1, 2, 3}},
		"more than there are":      {func(l *config.Listen) { l.MaxMQTT = 2000 }, 1000, [3]int{2000, 1, 1}},
		"few":                      {func(*config.Listen) {}, 1, [3]int{1, 1, 1}},
		"HTTPS leads to all":       {func(l *config.Listen) { l.MQTTS, l.AMQPS = "", "" }, 1000, [3]int{600, 200, 200}},
		"nothing leads to AMQP":    {func(l *config.Listen) { l.AMQPS, l.HTTPS = "", "" }, 1000, [3]int{1000, 1, 1}},
		"plain AMQP leads to AMQP": {func(l *config.Listen) { *l = config.Listen{AMQP: ":1"} }, 1000, [3]int{1, 1000, 1}},
	}
	for name, tt := range tests {
		l := all
		tt.edit(&l)
		mqtt, amqp, https := l.Shares(tt.total)
		if got := [3]int{mqtt, amqp, https}; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
