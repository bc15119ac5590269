package app_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/app"
)

const day = 24 * time.Hour

// watched opens an app, follows its hubs until the test ends, and returns it.
func watched(t *testing.T, flags map[string][]string, log *syncBuffer) *app.App {
	t.Helper()
	a, err := app.Open(t.Context(), load(t, t.TempDir(), flags), app.Options{Memory: true, LogTo: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.FollowHubs(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	return a
}

func TestRun_renewsTheCertificateInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := watched(t, nil, &syncBuffer{})
		first := a.Leaf()
		time.Sleep(time.Until(first.NotAfter) - 31*day)
		synctest.Wait()
		if !a.Leaf().Equal(first) {
			t.Fatal("renewed more than 30 days before its end")
		}
		time.Sleep(2 * day)
		synctest.Wait()
		second := a.Leaf()
		if second.Equal(first) || time.Until(second.NotAfter) < 700*day {
			t.Fatalf("29 days before its end the certificate is good until %s", second.NotAfter)
		}
		if err := second.VerifyHostname("hubward.localhost"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Until(second.NotAfter) - 29*day)
		synctest.Wait()
		if a.Leaf().Equal(second) {
			t.Error("it is renewed once only")
		}
	})
}

// A certificate of the operator's is not read before they say that it is complete; but they hear of its end.
func TestRun_leavesAGivenCertificateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, err := app.Open(t.Context(), load(t, t.TempDir(), nil), app.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		own.Close()
		dir := filepath.Dir(own.CAFile())
		log := &syncBuffer{}
		a := watched(t, map[string][]string{
			"tls-certificate": {filepath.Join(dir, "server.pem")}, "tls-key": {filepath.Join(dir, "server-key.pem")},
		}, log)
		given := a.Leaf()
		time.Sleep(time.Until(given.NotAfter) - 29*day)
		synctest.Wait()
		if !a.Leaf().Equal(given) {
			t.Error("a given certificate was replaced")
		}
		if !strings.Contains(log.String(), "certificate ends soon") {
			t.Errorf("nobody is warned:\n%s", log)
		}
	})
}
