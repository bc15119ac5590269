package cli_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSimulate_byCertificate(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	c.ok("device", "create", "d1", "--x509")
	for _, p := range protocols {
		for _, how := range [][]string{{"--x509"}, {"--certificate", "d1.pem", "--key", "d1-key.pem"}} {
			args := slices.Concat([]string{"simulate", "d1", "--count", "2", "--interval", "0"}, how, c.as(p))
			if status, stdout, stderr := runLine(t, c.env, args...); status != 0 || !strings.HasPrefix(stdout, "sent 2, acknowledged 2,") {
				t.Errorf("%v: status %d, %s%s", args, status, stdout, stderr)
			}
		}
	}
	c.env["HUBWARD_CONNECTION_STRING"] = "HostName=" + hostOf(c.hub) + ";DeviceId=d1;x509=true" // needs no flag
	if status, stdout, stderr := runLine(t, c.env, append([]string{"simulate", "d1", "--count", "1"}, c.as("mqtt")...)...); status != 0 {
		t.Errorf("by its own connection string: status %d, %s%s", status, stdout, stderr)
	}
}

func TestSimulate_module(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	c.ok("module", "create", "d1", "m1")
	for _, p := range protocols {
		for _, who := range [][]string{{"d1/m1"}, {"d1", "--module", "m1"}} {
			args := slices.Concat([]string{"simulate", "--count", "2", "--interval", "0"}, who, c.as(p))
			if status, stdout, stderr := runLine(t, c.env, args...); status != 0 || !strings.HasPrefix(stdout, "sent 2, acknowledged 2,") {
				t.Errorf("%v: status %d, %s%s", args, status, stdout, stderr)
			}
		}
	}
	if twin := c.ok("twin", "show", "d1", "--module", "m1", "-o", "json"); !strings.Contains(twin, `"firmware":`) {
		t.Errorf("the twin is %s", twin)
	}
	c.fails(1, "'d1/m2' is not registered", append([]string{"simulate", "d1/m2"}, c.as("mqtt")...)...)
	c.fails(2, "no module id", append([]string{"simulate", "d1", "--module", "a b"}, c.as("mqtt")...)...)
}

func TestSimulate_certificateRefusals(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	c.ok("device", "create", "d1", "--x509")
	c.ok("device", "create", "d2", "--x509")
	c.ok("device", "create", "k1")
	if err := os.WriteFile("broken.pem", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, "device d1 logs in by certificate: give --certificate", []string{"d1"}},
		{1, "hubward device create k1 --x509 makes one", []string{"k1", "--x509"}},
		{1, "no certificate of d1/m1 here", []string{"d1", "--module", "m1", "--x509"}},
		{2, "give both --certificate and --key", []string{"d1", "--certificate", "d1.pem"}},
		{2, "give both --certificate and --key", []string{"d1", "--key", "d1-key.pem"}},
		{1, "does not match", []string{"d1", "--certificate", "d1.pem", "--key", "d2-key.pem"}},
		{1, "cannot be used", []string{"d1", "--certificate", "broken.pem", "--key", "d2-key.pem"}},
		{1, "hubward device show d1 tells what the hub knows", []string{"d1", "--certificate", "d2.pem", "--key", "d2-key.pem"}},
		{1, "hubward device show k1 tells what the hub knows", []string{"k1", "--certificate", "d2.pem", "--key", "d2-key.pem"}},
	} {
		c.fails(row.status, row.want, slices.Concat([]string{"simulate", "--count", "1"}, row.args, c.as("mqtt"))...)
	}
}

func TestC2DReceive_byCertificate(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	c.ok("device", "create", "d1", "--x509")
	c.ok("c2d", "send", "d1", "--body", "hello")
	if out := c.ok("c2d", "receive", "d1", "--x509", "--count", "1"); !strings.Contains(out, "hello") {
		t.Errorf("%s", out)
	}
}
