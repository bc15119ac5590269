// Package childhub runs the hubward program as a child process, for tests that need the real thing: its command line,
// its files, its signals and its death. Package testhub is the lighter sister that runs a hub inside the test.
//
// A Hub can be started, stopped or killed, and started again on the same data folder.
package childhub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyWithin bounds the time from the start of the program to its line "ready".
const readyWithin = 60 * time.Second

// exitWithin bounds the time from SIGTERM to the end of the program.
const exitWithin = 30 * time.Second

// Build compiles the program into folder dir and returns its path. root is the folder of the module's go.mod. When the
// environment variable HUBWARD_BIN names a program, that one is taken instead.
func Build(ctx context.Context, root, dir string) (string, error) {
	if given := os.Getenv("HUBWARD_BIN"); given != "" {
		return filepath.Abs(given)
	}
	binary := filepath.Join(dir, "hubward")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "./cmd/hubward")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return binary, nil
}

// Free ports come from this range. It is below the one from which systems take the ports of clients and of listeners
// that name none: those could take a hub's port between two starts.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listened on a moment ago, and that no client is given.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// Hub is the program serving one data folder. Its methods are for one goroutine at a time; those of its clients
// (Client, Token, Do, Events, ConnectionString) work while it is down, too.
type Hub struct {
	Binary string   // path of the program
	Data   string   // folder of its data
	Args   []string // further arguments of serve
	HTTPS  string   // host:port where its REST calls are reached

	log  tail // what it printed, across starts
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and err is set
	err  error
}

// Start runs the program and returns once it has printed "ready". If it ends or hangs before, the error holds what it
// printed, and no process is left behind.
func (h *Hub) Start(ctx context.Context) error {
	h.cmd = exec.Command(h.Binary, append([]string{"serve", "--data", h.Data}, h.Args...)...)
	h.cmd.Stderr = &h.log
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("start the hub: %w", err)
	}
	ready, done := make(chan struct{}), make(chan struct{})
	h.done = done
	go func() {
		defer close(done)
		h.follow(stdout, ready)
		h.err = h.cmd.Wait()
	}()
	timeout := time.NewTimer(readyWithin)
	defer timeout.Stop()
	select {
	case <-ready:
		return nil
	case <-done:
		return fmt.Errorf("the hub ended before it was ready (%v):\n%s", h.err, h.Log())
	case <-timeout.C:
		err = fmt.Errorf("the hub was not ready after %s:\n%s", readyWithin, h.Log())
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, h.Kill())
}

// follow keeps what the program prints until it ends, and closes ready at the line "ready".
func (h *Hub) follow(stdout io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(io.TeeReader(stdout, &h.log))
	for lines.Scan() {
		if ready != nil && strings.TrimSpace(lines.Text()) == "ready" {
			close(ready)
			ready = nil
		}
	}
}

// Stop asks the program to drain with SIGTERM and waits for its end. It fails when the exit status is not 0, and when
// the program had ended before.
func (h *Hub) Stop() error {
	select {
	case <-h.done:
		return fmt.Errorf("the hub had ended already (%v):\n%s", h.err, h.Log())
	default:
	}
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timeout := time.NewTimer(exitWithin)
	defer timeout.Stop()
	select {
	case <-h.done:
	case <-timeout.C:
		return errors.Join(fmt.Errorf("the hub was still there %s after SIGTERM:\n%s", exitWithin, h.Log()), h.Kill())
	}
	if h.err != nil {
		return fmt.Errorf("the hub did not end with status 0 after SIGTERM (%w):\n%s", h.err, h.Log())
	}
	return nil
}

// Kill ends the program at once with SIGKILL and waits until it is gone. It is no error when it had ended before.
func (h *Hub) Kill() error {
	if err := h.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-h.done
	return nil
}

// Log returns the last part of what the program printed.
func (h *Hub) Log() string { return h.log.String() }

// tailSize bounds what a tail keeps, in bytes.
const tailSize = 64 << 10

// tail is a writer that keeps the end of what was written. It is safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
