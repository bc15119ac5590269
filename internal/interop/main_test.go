//go:build interop

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/childhub"
)

// module is the folder of the program's go.mod, seen from this one.
const module = "../.."

// hub is the program under test. TestMain starts and stops it; tests that stop it start it again before they end.
var hub *childhub.Hub

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := errors.Join(checkTools(), checkPort(8883), checkPort(5671), checkPort(443)); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "hubward-interop-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := childhub.Build(ctx, module, dir)
	if err != nil {
		return 1, err
	}
	admin, err := freeAddress()
	if err != nil {
		return 1, err
	}
	plain, err := freeAddress()
	if err != nil {
		return 1, err
	}
	revoked := filepath.Join(dir, "revoked")
	if err := errors.Join(os.Mkdir(revoked, 0o700), os.WriteFile(filepath.Join(revoked, "deny.txt"), []byte(revokedSerial+"\n"), 0o600)); err != nil {
		return 1, err
	}
	hub = &childhub.Hub{
		Binary: binary,
		Data:   filepath.Join(dir, "data"),
		Args:   []string{"--admin", admin, "--amqp", plain, "--revoked", revoked},
		HTTPS:  "localhost",
	}
	if err := hub.Start(ctx); err != nil {
		return 1, err
	}
	status = m.Run()
	if err := hub.Stop(); err != nil {
		return 1, err
	}
	if status != 0 {
		fmt.Fprintf(os.Stderr, "the last the hub printed:\n%s\n", hub.Log())
	}
	return status, nil
}

// freeAddress returns an address of the loopback interface that nobody listened on a moment ago.
func freeAddress() (string, error) {
	port, err := childhub.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// checkPort fails with what to do when the hub could not listen on port.
func checkPort(port int) error {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use, and the SDKs cannot be told another: stop what listens there (ss -ltnp 'sport = :%d' names it)", port, port)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d is not for ordinary users here: run as root, or allow it with 'sysctl net.ipv4.ip_unprivileged_port_start=443'", port)
	}
	return err
}

// checkTools fails with what to do when a client's interpreter or packages are missing.
func checkTools() error {
	var missing []error
	for _, s := range sdks() {
		for _, path := range s.needs {
			if _, err := os.Stat(path); err != nil {
				missing = append(missing, fmt.Errorf("%s is missing for the %s clients: run 'make interop', which installs it", path, s.name))
			}
		}
	}
	if _, err := os.Stat(bashCompletion); err != nil {
		missing = append(missing, fmt.Errorf("%s is missing: install the package bash-completion", bashCompletion))
	}
	if _, err := exec.LookPath("curl"); err != nil {
		missing = append(missing, errors.New("curl, which a page uses, is missing: install it"))
	}
	return errors.Join(missing...)
}
