package app_test

import (
	"crypto/tls"
	"net"
	"testing"
)

// resumes connects a device with what the cache holds, and reports whether that resumed a session.
func (r *running) resumes(cache tls.ClientSessionCache, version uint16, id string) bool {
	r.t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: cache, MaxVersion: version}
	nc, err := tls.Dial("tcp", r.addresses["mqtts"], config)
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	d, err := r.app.Hub().Device(r.t.Context(), process(r.t, r.app), id)
	if err != nil {
		r.t.Fatal(err)
	}
	r.connectMQTT(nc, d).works()
	return nc.ConnectionState().DidResume
}

// A device that comes back after a restart makes the short handshake.
func TestTickets_restart(t *testing.T) {
	dir := t.TempDir()
	caches := map[uint16]tls.ClientSessionCache{
		tls.VersionTLS12: tls.NewLRUClientSessionCache(1), tls.VersionTLS13: tls.NewLRUClientSessionCache(1),
	}
	r := start(t, dir, nil, nil)
	r.device("d1")
	for version, cache := range caches {
		if r.resumes(cache, version, "d1") {
			t.Errorf("%x: resumed at first", version)
		}
		if !r.resumes(cache, version, "d1") {
			t.Errorf("%x: not resumed", version)
		}
	}
	r.wantMetric(`hubward_tls_handshakes_total{result="full"} 2`)
	r.wantMetric(`hubward_tls_handshakes_total{result="resumed"} 2`)
	r.stop()
	r = start(t, dir, nil, nil)
	for version, cache := range caches {
		if !r.resumes(cache, version, "d1") {
			t.Errorf("%x: not resumed after a restart", version)
		}
	}
	r.stop()
}

// A client that is silent costs others nothing: as many as there are handshakes at a time, and more, change nothing for who
// comes behind them.
func TestHandshakes_silentClients(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	for range 100 {
		nc, err := net.Dial("tcp", r.addresses["mqtts"])
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	r.connectMQTT(r.dialTLS("mqtts"), r.device("d1")).works()
	r.stop()
}
