//go:build crash

package crashtest

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubward/hubward/internal/childhub"
)

const (
	kills   = 20
	devices = 50

	// longestRun is how long a hub may live between "ready" and its death. The moment of death is anywhere in it.
	longestRun = 2 * time.Second

	// testWithin bounds the whole test, compareWithin the reading of everything after one restart.
	testWithin    = 8 * time.Minute
	compareWithin = time.Minute
)

func TestKill_acknowledgedMessagesSurvive(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testWithin)
	defer cancel()
	rng := seeded(t)
	hub, at := startHub(ctx, t, build(ctx, t))
	fleet := register(ctx, t, hub, at.mqtts, devices, rng)
	ledger := newLedger()
	for n := range kills {
		runFor := time.Duration(rng.Int64N(int64(longestRun)))
		if err := runAndKill(ctx, hub, fleet, ledger, runFor); err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		if err := hub.Start(ctx); err != nil {
			t.Fatalf("restart after kill %d: %v", n, err)
		}
		compare(ctx, t, hub, fleet, ledger)
		t.Logf("kill %d after %s: %d messages acknowledged, %d stored", n, runFor.Round(time.Millisecond), acknowledged(fleet), ledger.stored())
		if t.Failed() {
			return
		}
	}
	if acknowledged(fleet) == 0 {
		t.Error("no message was ever acknowledged: the test proves nothing")
	}
	if err := hub.Stop(); err != nil {
		t.Error(err)
	}
}

// seeded returns the source of all random choices. Its seed is logged, so that a failure shows it.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HUBWARD_CRASH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HUBWARD_CRASH_SEED: %v", err)
		}
	}
	t.Logf("HUBWARD_CRASH_SEED=%d repeats these moments", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// listeners are the addresses of a hub, host:port.
type listeners struct{ mqtts, amqps, https string }

// build returns the path of the program.
func build(ctx context.Context, t *testing.T) string {
	t.Helper()
	binary, err := childhub.Build(ctx, filepath.Join("..", ".."), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// startHub gives the program a data folder and free ports, and starts it. It is killed when the test ends.
func startHub(ctx context.Context, t *testing.T, binary string) (*childhub.Hub, listeners) {
	t.Helper()
	var address [4]string
	for i := 0; i < len(address); {
		port, err := childhub.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		address[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if !slices.Contains(address[:i], address[i]) { // it may be free still
			i++
		}
	}
	hub := &childhub.Hub{
		Binary: binary,
		Data:   filepath.Join(t.TempDir(), "data"),
		Args:   []string{"--mqtts", address[0], "--amqps", address[1], "--https", address[2], "--admin", address[3]},
		HTTPS:  address[2],
	}
	if err := hub.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hub.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the last the hub printed:\n%s", hub.Log())
		}
	})
	return hub, listeners{mqtts: address[0], amqps: address[1], https: address[2]}
}

// register makes the devices in one bulk call, with keys of our own.
func register(ctx context.Context, t *testing.T, hub *childhub.Hub, mqtts string, n int, rng *rand.Rand) []*device {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	fleet := make([]*device, n)
	rows := make([]map[string]any, n)
	for i := range fleet {
		key := make([]byte, 32)
		for j := range key {
			key[j] = byte(rng.Uint32())
		}
		d := &device{
			id: fmt.Sprintf("crash-%02d", i), key: base64.StdEncoding.EncodeToString(key), address: mqtts, roots: roots,
			rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(i))),
		}
		fleet[i] = d
		keys := map[string]string{"primaryKey": d.key, "secondaryKey": d.key}
		rows[i] = map[string]any{
			"id": d.id, "importMode": "create", "status": "enabled",
			"authentication": map[string]any{"type": "sas", "symmetricKey": keys},
		}
	}
	if err := hub.Do(ctx, http.MethodPost, "/devices", rows, "", nil); err != nil {
		t.Fatal(err)
	}
	return fleet
}

// runAndKill lets all devices publish and a reader follow for a while, then kills the hub under them. It returns when
// they have noticed.
func runAndKill(ctx context.Context, hub *childhub.Hub, fleet []*device, ledger *ledger, runFor time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range fleet {
		group.Go(func() error { return d.publishUntilCut(ctx) })
	}
	group.Go(func() error { return ledger.follow(ctx, hub) })
	group.Go(func() error {
		moment := time.NewTimer(runFor)
		defer moment.Stop()
		select {
		case <-moment.C:
		case <-ctx.Done(): // a device was refused: there is nothing to wait for
		}
		return hub.Kill()
	})
	return group.Wait()
}

// compare reads everything back and checks C1 to C4.
func compare(ctx context.Context, t *testing.T, hub *childhub.Hub, fleet []*device, ledger *ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, compareWithin)
	defer cancel()
	if err := ledger.compare(ctx, hub, fleet); err != nil {
		t.Error(err)
	}
}

func acknowledged(fleet []*device) int {
	n := 0
	for _, d := range fleet {
		n += d.acked
	}
	return n
}
