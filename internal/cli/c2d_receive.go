package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/service"
)

// c2dReceive is one run of c2d receive.
type c2dReceive struct {
	env                       Env
	device                    *deviceFlags
	out                       *outputFlag
	count                     int
	complete, abandon, reject bool
}

func newC2DReceiveCommand(env Env) *cobra.Command {
	r := &c2dReceive{env: env}
	cmd := &cobra.Command{
		Use:   "receive ID [--count N] [--protocol mqtt|mqtt-ws|amqp|amqp-ws|https] [--complete|--abandon|--reject] [--x509 | --certificate FILE --key FILE]",
		Short: "Receive messages as a device",
		Long: "Receive messages as a registered device, print them and settle them, until Ctrl-C or for N messages. Over HTTPS, the\n" +
			"default, a connected device stays connected; by the other protocols this takes its place. MQTT can only complete\n" +
			"a message. The login may be that of a policy, which looks up the device's key, or the device's own. By\n" +
			"certificate it needs no key: see hubward simulate.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.check(cmd, args[0]); err != nil {
				return err
			}
			return r.run(cmd.Context(), args[0])
		},
	}
	r.device, r.out = addDeviceFlags(cmd, device.HTTPS), addOutputFlag(cmd)
	flags := cmd.Flags()
	flags.IntVar(&r.count, "count", 0, "end after that many messages (0: on Ctrl-C)")
	flags.BoolVar(&r.complete, "complete", false, "complete each message (the default)")
	flags.BoolVar(&r.abandon, "abandon", false, "give each message back: it comes again")
	flags.BoolVar(&r.reject, "reject", false, "refuse each message for good")
	return cmd
}

func (r *c2dReceive) check(cmd *cobra.Command, id string) error {
	chosen := 0
	for _, flag := range []bool{r.complete, r.abandon, r.reject} {
		if flag {
			chosen++
		}
	}
	p := device.Protocol(r.device.protocol)
	switch {
	case r.count < 0:
		return usagef(cmd, "--count %d is negative", r.count)
	case chosen > 1:
		return usagef(cmd, "give one of --complete, --abandon and --reject")
	case (r.abandon || r.reject) && (p == device.MQTT || p == device.MQTTWebSocket):
		return usagef(cmd, "MQTT can only complete a message: --abandon and --reject need --protocol amqp, amqp-ws or https")
	}
	if hubward.ValidateID(id) != nil {
		return usagef(cmd, "%q is no device id", id)
	}
	return r.device.check(cmd)
}

// receiveGrace is how long the command waits for the end of its connection.
const receiveGrace = 5 * time.Second

// run prints messages until there are enough of them, or ctx ends, which is no failure.
func (r *c2dReceive) run(ctx context.Context, id string) error {
	c, err := r.device.client(ctx, r.env, hubward.Identity{Device: id}, &device.Options{Product: "hubward-cli"})
	if err != nil {
		return err
	}
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiveGrace)
		defer cancel()
		c.Close(grace) // nothing was sent that could be lost
	}()
	if err := r.device.connect(ctx, c); err != nil {
		return err
	}
	for seen := 0; r.count == 0 || seen < r.count; seen++ {
		m, err := c.Receive(ctx)
		if ctx.Err() != nil {
			return cutShort(seen, r.count, "messages")
		}
		if err != nil {
			return err
		}
		if err := r.print(id, m); err != nil {
			return err
		}
		if err := r.settle(ctx, m); err != nil {
			return fmt.Errorf("message %s was printed and not settled: %w", m.MessageID, err)
		}
	}
	return nil
}

func (r *c2dReceive) settle(ctx context.Context, m *device.C2DMessage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickstartWait)
	defer cancel()
	switch {
	case r.abandon:
		return m.Abandon(ctx)
	case r.reject:
		return m.Reject(ctx)
	}
	return m.Complete(ctx)
}

func (r *c2dReceive) print(id string, m *device.C2DMessage) error {
	e := c2dEvent(id, m)
	if r.out.json {
		return writeJSON(r.env.Stdout, e)
	}
	if e.EnqueuedTime.IsZero() {
		e.EnqueuedTime.Time = time.Now()
	}
	var b bytes.Buffer
	printer := &monitor{env: r.env, style: styleFor(r.env)}
	printer.printBlock(&b, &service.Event{
		EnqueuedTime: e.EnqueuedTime.Time, Body: e.Body, BodyBase64: e.BodyBase64, Properties: e.Properties,
		Annotations: map[string]any{"iothub-connection-device-id": id},
	})
	for _, name := range slices.Sorted(maps.Keys(e.SystemProperties)) {
		printer.printProperty(&b, "system ", name, e.SystemProperties[name])
	}
	_, err := r.env.Stdout.Write(b.Bytes())
	return err
}

// c2dDocument is a message to a device as JSON. What the protocol does not tell is left out.
type c2dDocument struct {
	DeviceID         string            `json:"deviceId"`
	SequenceNumber   uint64            `json:"sequenceNumber,omitzero"`
	EnqueuedTime     hubward.Time      `json:"enqueuedTime,omitzero"`
	DeliveryCount    int               `json:"deliveryCount"`
	Body             json.RawMessage   `json:"body,omitempty"`
	BodyBase64       []byte            `json:"bodyBase64,omitempty"`
	Properties       map[string]string `json:"properties"`
	SystemProperties map[string]string `json:"systemProperties"`
}

// c2dEvent makes a document of a message, in the manner of the event stream.
func c2dEvent(id string, m *device.C2DMessage) *c2dDocument {
	d := &c2dDocument{
		DeviceID: id, SequenceNumber: m.SequenceNumber, EnqueuedTime: hubward.Time{Time: m.EnqueuedTime}, DeliveryCount: m.DeliveryCount,
		Properties: map[string]string{}, SystemProperties: map[string]string{},
	}
	switch text, err := json.Marshal(string(m.Body)); {
	case len(m.Body) > 0 && json.Valid(m.Body):
		var b bytes.Buffer
		json.Compact(&b, m.Body)
		d.Body = b.Bytes()
	case err == nil && utf8.Valid(m.Body):
		d.Body = text
	default:
		d.BodyBase64 = m.Body
	}
	for _, p := range m.Properties {
		d.Properties[p.Name] = p.Value
	}
	for name, value := range map[string]string{
		"messageId": m.MessageID, "correlationId": m.CorrelationID, "userId": m.UserID, "to": m.To, "contentType": m.ContentType,
		"contentEncoding": m.ContentEncoding, "creationTimeUtc": m.CreationTime, "ack": string(m.Ack),
	} {
		if value != "" {
			d.SystemProperties[name] = value
		}
	}
	if !m.Expiry.IsZero() {
		d.SystemProperties["expiryTimeUtc"] = hubward.Time{Time: m.Expiry}.String()
	}
	return d
}
