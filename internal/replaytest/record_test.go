//go:build record

package replaytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// recordWithin bounds one client's conversation.
const recordWithin = time.Minute

// programs are the clients that are recorded from programs of the interop suite and of this package.
func programs() []program {
	return []program{
		{file: "node-event-hubs-6", client: "Node @azure/event-hubs 6.0.4", command: "node", path: "../interop/node/read_events_eh6.js"},
		{file: "node-event-hubs-0.2", client: "Node azure-event-hubs 0.2.11, from the hub's connection string", command: "node", path: "../interop/node/read_events_eh02.js", byHub: true},
		{file: "node-event-hubs-0.0.8", client: "Node azure-event-hubs 0.0.8, from the hub's connection string", command: "node", path: "../interop/node/read_events_eh008.js", byHub: true},
		{file: "python-pyamqp", client: "Python azure-eventhub 5.15.1", command: "python", path: "../interop/python/read_events.py"},
		{file: "python-uamqp", client: "Python azure-eventhub 5.15.1 on uamqp 1.6.11", command: "python", path: "../interop/python/read_events.py", transport: "uamqp"},
		{file: "node-rhea", client: "Node rhea 3.0.5", command: "node", path: "clients/read_rhea.js"},
		{file: "python-proton", client: "Python python-qpid-proton", command: "proton", path: "clients/read_proton.py"},
		{file: "go-azeventhubs", client: "Go azeventhubs v2.0.2", command: "go", path: "../interop/readevents"},
	}
}

// builtByHand are the clients whose programs nothing here builds: testdata/README.md says how. The environment variable that
// path names holds the program's path; without it the client is not recorded.
func builtByHand() []program {
	return []program{
		{file: "rust-event-hubs", client: "Rust azure_messaging_eventhubs 0.16.0", path: "RUST_READER"},
		{file: "c-device", client: "C azure-iot-sdk-c 1.15.0", path: "C_DEVICE", device: true},
	}
}

type program struct {
	file, client, command, path, transport string
	byHub                                  bool // it gets the hub's connection string and follows the redirect
	device                                 bool // it is a device, and does what it does by itself
}

func TestRecord(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.file, func(t *testing.T) {
			if p.command == "go" {
				p.path = build(t, p.path)
			}
			recordClient(t, p.file, p.client, p.run)
		})
	}
	for _, p := range builtByHand() {
		t.Run(p.file, func(t *testing.T) {
			variable := p.path
			if p.path = os.Getenv(variable); p.path == "" {
				t.Logf("%s does not name its program: its transcript stays as it is", variable)
				return
			}
			recordClient(t, p.file, p.client, p.run)
		})
	}
	t.Run("go-amqp", func(t *testing.T) { recordClient(t, "go-amqp", "Go go-amqp v1.7.0", readBare) })
}

// build builds a program of another module than this one, and returns its path.
func build(t *testing.T, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", folder, err, out)
	}
	return binary
}

// recordClient records one client.
func recordClient(t *testing.T, file, client string, read func(ctx context.Context, r *relay) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), recordWithin)
	defer cancel()
	r := newRelay(t, client)
	if err := read(ctx, r); err != nil {
		t.Fatal(err)
	}
	r.settled(t).save(t, file)
}

func eventHubString() string {
	return fmt.Sprintf("Endpoint=sb://%s/;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=%s", host, policyName, policyKey(), hubName)
}

// dottedHost is a name of the hub with a dot, which the SDK for C wants: hosts(5) has to know it.
const dottedHost = hubName + ".localhost"

func deviceString() string {
	return fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", dottedHost, device, policyKey())
}

// run runs a program until it has shown all events, then tells it to stop; a device until it is done.
func (p *program) run(ctx context.Context, r *relay) error {
	work, err := filepath.Abs(filepath.Join("..", "..", ".work"))
	if err != nil {
		return err
	}
	interpreter := map[string][]string{"node": {"node"}, "python": {filepath.Join(work, "venv", "bin", "python")}, "proton": {proton()}}
	line := append(interpreter[p.command], p.path) // what is built has none
	shown := untilAll
	if p.device {
		line, shown = append(line, "amqp", "twin"), untilDone
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "NODE_PATH=" + filepath.Join(work, "node", "node_modules"),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1", "HUB_CA=" + r.ca, "NODE_EXTRA_CA_CERTS=" + r.ca, "SSL_CERT_FILE=" + r.ca, "TRANSPORT=" + p.transport,
		"EVENTHUB_CONNECTION_STRING=" + eventHubString(), "DEVICE_CONNECTION_STRING=" + deviceString(), "POLICY=" + policyName, "KEY=" + policyKey(), "HUB=" + hubName,
	}
	if p.byHub {
		cmd.Env = append(cmd.Env, fmt.Sprintf("HUB_CONNECTION_STRING=HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s", host, policyName, policyKey()))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = shown(stdout)
	stdin.Close()
	_, _ = io.Copy(io.Discard, stdout) // its last lines; its status is what counts
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.path, err, stderr.String())
	}
	return nil
}

// proton is a Python that has Qpid Proton.
func proton() string {
	if p := os.Getenv("PROTON"); p != "" {
		return p
	}
	return "/usr/bin/python3"
}

// untilAll reads a program's lines until it is ready and has shown all events.
func untilAll(out io.Reader) error {
	events, ready := 0, false
	lines := bufio.NewScanner(out)
	for (events < allEvents || !ready) && lines.Scan() {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "event":
			events++
		case "ready":
			ready = true
		case "error":
			return errors.New(lines.Text())
		}
	}
	if events != allEvents || !ready {
		return fmt.Errorf("%d events were shown, ready: %t", events, ready)
	}
	return lines.Err()
}

// untilDone reads a program's lines until it says that it is done.
func untilDone(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
		case "done":
			return nil
		case "error":
			return errors.New(lines.Text())
		}
	}
	return errors.Join(errors.New("it did not get done"), lines.Err())
}

func trust(r *relay) (*tls.Config, error) {
	pem, err := os.ReadFile(r.ca)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: host}, err
}

// inPartition is how many of the fixture's events each partition holds.
func inPartition() []int { return []int{3, 2, 0, 1} }

// readBare reads with the bare library: a log-in by SASL PLAIN, credit by hand, and a drain.
func readBare(ctx context.Context, r *relay) error {
	config, err := trust(r)
	if err != nil {
		return err
	}
	conn, err := amqp.Dial(ctx, "amqps://"+host, &amqp.ConnOptions{
		ContainerID: "recorder", TLSConfig: config, SASLType: amqp.SASLTypePlain(policyName, policyKey()),
	})
	if err != nil {
		return err
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	for n, want := range inPartition() {
		err = errors.Join(err, readBarePartition(ctx, session, n, want))
	}
	return errors.Join(err, session.Close(ctx), conn.Close())
}

func readBarePartition(ctx context.Context, session *amqp.Session, n, want int) error {
	receiver, err := session.NewReceiver(ctx, fmt.Sprintf("%s/ConsumerGroups/$Default/Partitions/%d", hubName, n), &amqp.ReceiverOptions{
		Credit: -1, Filters: []amqp.LinkFilter{amqp.NewSelectorFilter("amqp.annotation.x-opt-offset > '-1'")},
	})
	if err != nil {
		return err
	}
	if err := receiver.IssueCredit(uint32(want) + 5); err != nil {
		return err
	}
	for range want {
		if _, err := receiver.Receive(ctx, nil); err != nil {
			return err
		}
	}
	return errors.Join(receiver.DrainCredit(ctx, nil), receiver.Close(ctx))
}
