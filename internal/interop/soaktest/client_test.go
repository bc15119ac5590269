//go:build soak

package soaktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/hub/access"
)

// policy returns a policy of the hub, with its keys.
func (s *soak) policy(name string) access.Policy {
	s.t.Helper()
	all, err := s.hub.App.Hub().Policies(s.process, hubName)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range all {
		if p.Name == name {
			return p
		}
	}
	s.t.Fatalf("there is no policy %q", name)
	return access.Policy{}
}

// sdkClient reads with the vendor's SDK, which logs in at $cbs.
type sdkClient struct {
	client    *azeventhubs.ConsumerClient
	partition *azeventhubs.PartitionClient
	most      int  // events in one call
	opened    bool // a call has succeeded
}

// openSDK makes a client of the SDK. Half of them recover by themselves when they are cut.
func (l *lineage) openSDK(context.Context) (client, error) {
	cs := fmt.Sprintf("Endpoint=sb://%s/;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=%s",
		hubHost, l.policy.Name, l.policy.PrimaryKey, hubName)
	options := &azeventhubs.ConsumerClientOptions{
		InstanceID:   l.name,
		RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1},
		// The SDK takes any connection from here. It is the way to one that can be cut.
		NewWebSocketConn: func(ctx context.Context, _ azeventhubs.WebSocketConnParams) (net.Conn, error) { return l.dial(ctx) },
	}
	if l.dice.once(2) {
		options.RetryOptions = azeventhubs.RetryOptions{MaxRetries: 10, RetryDelay: 10 * time.Millisecond, MaxRetryDelay: 200 * time.Millisecond}
	}
	all, err := azeventhubs.NewConsumerClientFromConnectionString(cs, "", l.group, options)
	if err != nil {
		return nil, err
	}
	position := &azeventhubs.PartitionClientOptions{Prefetch: int32(l.dice.below(400) - 50)}
	if next := l.next.Load(); next > 0 {
		position.StartPosition.SequenceNumber = to.Ptr(next - 1)
	} else {
		position.StartPosition.Earliest = to.Ptr(true)
	}
	one, err := all.NewPartitionClient(fmt.Sprint(l.ledger.partition), position)
	if err != nil {
		return nil, errors.Join(err, all.Close(context.Background()))
	}
	return &sdkClient{client: all, partition: one, most: 1 + l.dice.below(100)}, nil
}

// receiveWithin bounds how long a call waits for as many events as it asked for. On a loaded machine a link may take
// longer than that to open, so the first call asks for one event and takes its time.
const receiveWithin = time.Second

func (c *sdkClient) receive(ctx context.Context) ([]shown, error) {
	most := 1
	if c.opened {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, receiveWithin)
		defer cancel()
		most = c.most
	}
	events, err := c.partition.ReceiveEvents(ctx, most, nil)
	if wire := (*amqp.Error)(nil); err != nil && ctx.Err() != nil && !errors.As(err, &wire) {
		// The SDK does not wrap all errors of a deadline. The client is done with: a session whose begin was given up
		// before it left is ended later, and no hub can make sense of that.
		return nil, context.Cause(ctx)
	}
	c.opened = true
	out := make([]shown, len(events))
	for i, e := range events {
		stamp, _ := e.SystemProperties["iothub-connection-device-id"].(string)
		out[i] = shown{e.SequenceNumber, e.Offset, stamp, e.Body}
	}
	return out, err
}

func (c *sdkClient) close(ctx context.Context) error {
	return errors.Join(c.partition.Close(ctx), c.client.Close(ctx))
}

// bareClient reads with the AMQP library below the SDK, and logs in by SASL PLAIN.
type bareClient struct {
	conn     *amqp.Conn
	receiver *amqp.Receiver
	grant    uint32 // credit that is given by hand; 0: the library gives it
	credit   uint32 // what is left of it
}

func (l *lineage) openBare(ctx context.Context) (client, error) {
	nc, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := amqp.NewConn(ctx, nc, &amqp.ConnOptions{
		ContainerID: l.name, HostName: hubHost, SASLType: amqp.SASLTypePlain(l.policy.Name, l.policy.PrimaryKey),
	})
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	c := &bareClient{conn: conn}
	options := &amqp.ReceiverOptions{
		Credit:  int32(1 + l.dice.below(200)),
		Filters: []amqp.LinkFilter{amqp.NewSelectorFilter(fmt.Sprintf("amqp.annotation.x-opt-sequence-number > '%d'", l.next.Load()-1))},
	}
	if l.dice.once(3) {
		c.grant, options.Credit = uint32(options.Credit), -1
	}
	session, err := conn.NewSession(ctx, nil)
	if err == nil {
		address := fmt.Sprintf("%s/ConsumerGroups/%s/Partitions/%d", hubName, l.group, l.ledger.partition)
		c.receiver, err = session.NewReceiver(ctx, address, options)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *bareClient) receive(ctx context.Context) ([]shown, error) {
	if c.grant > 0 && c.credit == 0 {
		if err := c.receiver.IssueCredit(c.grant); err != nil {
			return nil, err
		}
		c.credit = c.grant
	}
	m, err := c.receiver.Receive(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []shown
	for ; m != nil; m = c.receiver.Prefetched() {
		if c.grant > 0 {
			c.credit--
		}
		if err := c.receiver.AcceptMessage(ctx, m); err != nil {
			return nil, err
		}
		e := shown{body: m.GetData()}
		e.sequence, _ = m.Annotations["x-opt-sequence-number"].(int64)
		e.offset, _ = m.Annotations["x-opt-offset"].(string)
		e.device, _ = m.Annotations["iothub-connection-device-id"].(string)
		out = append(out, e)
	}
	return out, nil
}

func (c *bareClient) close(ctx context.Context) error {
	return errors.Join(c.receiver.Close(ctx), c.conn.Close())
}
