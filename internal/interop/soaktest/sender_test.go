//go:build soak

package soaktest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

const (
	// burst is the most messages that a device sends at once, rest the longest pause between two bursts. With them the
	// events of the default time fit the memory of the log.
	burst = 10
	rest  = 700 * time.Millisecond

	// One message in oneLarge is as large as largeBody bytes, and so has to be sent in several frames.
	oneLarge  = 1000
	largeBody = 150_000
	smallBody = 300

	// lifetime is the longest that a device uses one client before it makes a new one.
	lifetime = 15 * time.Second

	closeWithin = 5 * time.Second
)

// senderReach is such that a connection may end in the handshake.
var senderReach = reach{written: 20_000, read: 6_000, time: 8 * time.Second}

// sender is one device.
type sender struct {
	soak      *soak
	id        string
	partition int
	cs        string
	dice      *dice

	acked int // messages 0 to acked-1 were acknowledged
}

func (s *soak) newSender(id string, d *dice) *sender {
	s.t.Helper()
	made, err := s.hub.App.Hub().PutDevice(s.t.Context(), s.process, hubward.Device{DeviceID: id}, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return &sender{
		soak: s, id: id, partition: hub.PartitionOf(id, partitions), dice: d,
		cs: sas.ConnectionString{
			HostName: hubHost, DeviceID: id, SharedAccessKey: string(made.Authentication.SymmetricKey.PrimaryKey),
		}.String(),
	}
}

// run sends until the load is over and everything is acknowledged.
func (d *sender) run(ctx context.Context) error {
	for !d.over() {
		if err := d.useClient(ctx); err != nil {
			return fmt.Errorf("%s: %w", d.id, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", d.id, context.Cause(ctx))
		}
	}
	return nil
}

func (d *sender) over() bool {
	select {
	case <-d.soak.quiet:
		return true
	default:
		return false
	}
}

// useClient makes a client and sends with it for a while, beginning with the first message that was not acknowledged.
// The client reconnects by itself. When it is closed in a hurry, messages are left over for the next one.
func (d *sender) useClient(ctx context.Context) error {
	client, err := device.NewFromConnectionString(d.cs, &device.Options{
		TLSConfig: &tls.Config{RootCAs: d.soak.hub.CA, ServerName: hubHost},
		Backoff:   device.Backoff{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.soak.dial(ctx, d.dice, senderReach, nil, d.soak.hub.MQTT, nil) // the SDK does TLS on it
		},
	})
	if err != nil {
		return err
	}
	life, cancel := context.WithTimeout(ctx, d.dice.within(lifetime))
	defer cancel()
	for {
		err := client.Connect(life)
		if err == nil {
			break
		}
		if code := hubward.CodeOf(err); code != hubward.CodeServiceUnavailable {
			_ = client.Close(ctx) // the first error counts
			return err
		}
		if life.Err() != nil {
			return client.Close(ctx)
		}
	}
	return d.sendWith(ctx, life, client)
}

func (d *sender) sendWith(ctx, life context.Context, client *device.Client) error {
	var (
		mu      sync.Mutex
		acked   = d.acked
		refused error
		under   sync.WaitGroup // messages without an answer
	)
	for next := d.acked; life.Err() == nil && !d.over(); {
		for range 1 + d.dice.below(burst) {
			number := next
			under.Add(1)
			err := client.SendTelemetryAsync(life, &hubward.Message{Body: d.body(number)}, func(err error) {
				defer under.Done()
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && number != acked:
					refused = errors.Join(refused, fmt.Errorf("message %d is acknowledged before message %d", number, acked))
				case err == nil:
					acked++
				case !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
					refused = errors.Join(refused, err)
				}
			})
			if err != nil {
				under.Done()
				if life.Err() == nil {
					return errors.Join(err, client.Close(ctx))
				}
				break
			}
			next++
		}
		pause(life, d.dice.within(rest))
	}
	d.closeClient(ctx, client)
	under.Wait()
	d.acked = acked
	return refused
}

// closeClient closes a client: one in three in a hurry, during the load.
func (d *sender) closeClient(ctx context.Context, client *device.Client) {
	within := finishWithin
	if !d.over() {
		within = closeWithin
		if d.dice.once(3) {
			within = 0
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if client.Close(ctx) == nil {
		d.soak.counts.left.Add(1)
	}
}

// body is what message number n holds: who and which it is, and what makes it longer.
func (d *sender) body(n int) []byte {
	size := d.dice.below(smallBody)
	if d.dice.once(oneLarge) {
		size = d.dice.below(largeBody)
	}
	return append(fmt.Appendf(nil, "%s %d ", d.id, n), bytes.Repeat([]byte{'.'}, size)...)
}

// parseBody is the opposite of body.
func parseBody(b []byte) (entry, error) {
	var e entry
	text := string(b[:min(len(b), 64)])
	if _, err := fmt.Sscanf(text, "%s %d ", &e.device, &e.number); err != nil {
		return e, fmt.Errorf("the body %.40q: %w", text, err)
	}
	if _, fill, _ := strings.Cut(string(b[len(e.device)+1:]), " "); strings.Trim(fill, ".") != "" {
		return e, fmt.Errorf("the body of message %d of %s is damaged", e.number, e.device)
	}
	e.size = len(b)
	return e, nil
}
