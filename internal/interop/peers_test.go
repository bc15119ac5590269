//go:build interop

package interop_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/amqpengine/testnode"
)

// The peers are AMQP libraries that share no code with the engine and are not of the hub's world: rhea and Qpid Proton.
// They meet a node that is nothing but the engine, with the queues of package testnode.

// peer is one such library: its program makes the journey that its argument names.
type peer struct {
	sdk
	program string
}

func peers() []peer {
	proton := os.Getenv("PROTON") // make sets it
	if proton == "" {
		proton = "/usr/bin/python3"
	}
	python := sdks()[1]
	python.command = proton
	return []peer{{sdks()[0], "peer_rhea"}, {python, "peer_proton"}}
}

// startNode runs a node until the test ends.
func startNode(t *testing.T, o amqpengine.Options) *testnode.Node {
	t.Helper()
	node, err := testnode.Start(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandWithin)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return node
}

// begin starts a peer's journey to a node.
func (p peer) begin(t *testing.T, node *testnode.Node, journey string) *client {
	t.Helper()
	return p.start(t, p.program, map[string]string{
		"NODE": node.Addr(), "FRAME_SIZE": strconv.Itoa(frameSize), "IDLE_SECONDS": "5",
		"NODE_USER": "user", "NODE_PASSWORD": "secret",
	}, journey)
}

// frameSize is what both sides announce where small frames are what it is about.
const frameSize = 4096

func TestPeers(t *testing.T) {
	for _, p := range peers() {
		for _, journey := range []string{"credit", "large", "many", "refusals", "outcomes", "modes", "idle", "aborted", "logins"} {
			if journey == "aborted" && p.program == "peer_rhea" {
				continue // it cannot
			}
			t.Run(p.program+" "+journey, func(t *testing.T) {
				t.Parallel()
				node := startNode(t, amqpengine.Options{MaxFrameSize: frameSize})
				p.begin(t, node, journey).finish()
				waitForConnections(t, node, 0)
			})
		}
	}
}

// A peer that is gone in the middle of a message leaves nothing behind.
func TestPeers_killedInTheMiddle(t *testing.T) {
	node := startNode(t, amqpengine.Options{})
	proton := peers()[1]
	for range 5 {
		c := proton.begin(t, node, "killed")
		c.waitFor("half")
		waitForConnections(t, node, 1)
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		waitForConnections(t, node, 0)
	}
	proton.begin(t, node, "credit").finish()
}

// A peer that falls silent is told so and cut off after the idle time-out that the node has announced.
func TestPeers_silent(t *testing.T) {
	const timeout = 5 * time.Second // the least there is
	node := startNode(t, amqpengine.Options{IdleTimeout: timeout})
	c := peers()[1].begin(t, node, "silent")
	c.waitFor("connected")
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	waitForConnections(t, node, 0)
	if after := time.Since(stopped); after < timeout || after > 3*timeout {
		t.Errorf("the silent peer was cut off after %s, its time-out is %s", after, timeout)
	}
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if end := c.waitFor("ended "); !strings.Contains(end, "amqp:connection:forced") {
		t.Errorf("the peer was told %q", end)
	}
	c.finish()
}

// waitForConnections waits until a node has so many connections.
func waitForConnections(t *testing.T, node *testnode.Node, want int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(readerWithin)
	for len(node.Server.Connections()) != want {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the node has %d connections, want %d", len(node.Server.Connections()), want)
		}
	}
}
