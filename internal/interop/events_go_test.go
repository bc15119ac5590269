//go:build interop

package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"
)

// goReaders lists the readers on the Go SDK: its clients of single partitions, on each transport.
func goReaders() []reader {
	names := map[refusal]string{
		wrongKey: string(azeventhubs.ErrorCodeUnauthorizedAccess), noGroup: string(amqp.ErrCondNotFound),
		displaced: string(azeventhubs.ErrorCodeOwnershipLost), crowded: string(amqp.ErrCondResourceLimitExceeded),
		// The SDK knows the condition only from a link that was open, and takes this for a lost connection.
		excluded: string(azeventhubs.ErrorCodeConnectionLost), outranked: string(azeventhubs.ErrorCodeConnectionLost),
		noPartition: string(azeventhubs.ErrorCodeConnectionLost), // and likewise of the status codes
	}
	return []reader{
		{name: "go", open: openGo("amqp"), info: goInfo, exclusive: true, names: names, starts: []start{
			{"offset", false}, {"offset", true}, {"sequence", false}, {"sequence", true}, {"time", false}, {"time", true},
		}},
		{name: "go-ws", open: openGo("ws"), exclusive: true, names: names, starts: []start{{"offset", false}}},
		{name: "go-plain", open: openGo("plain"), exclusive: true, names: names, starts: []start{{"sequence", true}}},
	}
}

// goRetries has the SDK try again soon: its own patience between two attempts begins at four seconds.
var goRetries = azeventhubs.RetryOptions{MaxRetries: 8, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 300 * time.Millisecond}

// goOnce has it try once.
var goOnce = azeventhubs.RetryOptions{MaxRetries: -1}

// goOptions say which client to make.
type goOptions struct {
	transport string // amqp, ws or plain; empty: amqp
	group     string // empty: $Default
	key       string // of the policy; empty: the one in the connection strings
	name      string // what the hub calls its readers; empty: a random one
	retries   azeventhubs.RetryOptions
}

// newGoClient makes a client that is closed when the test ends.
func newGoClient(t *testing.T, o goOptions) *azeventhubs.ConsumerClient {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{RootCAs: roots}
	variable := "HUBWARD_EVENTHUB_CONNECTION_STRING"
	options := &azeventhubs.ConsumerClientOptions{TLSConfig: trust, InstanceID: o.name, RetryOptions: o.retries}
	switch o.transport {
	case "ws":
		options.NewWebSocketConn = func(ctx context.Context, args azeventhubs.WebSocketConnParams) (net.Conn, error) {
			return dialWebSocket(ctx, args.Host, trust)
		}
	case "plain":
		variable = "HUBWARD_EMULATOR_CONNECTION_STRING"
	}
	if o.group == "" {
		o.group = azeventhubs.DefaultConsumerGroup
	}
	client, err := azeventhubs.NewConsumerClientFromConnectionString(endpointString(t, variable, o.key), "", o.group, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.Background()) }) // by WebSocket it fails also when all has gone well
	return client
}

// dialWebSocket is what the SDK's documentation tells its users to write, with the sub-protocol that stands there.
func dialWebSocket(ctx context.Context, url string, trust *tls.Config) (net.Conn, error) {
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		Subprotocols: []string{"amqp"},
		HTTPClient:   &http.Client{Transport: &http.Transport{TLSClientConfig: trust}},
	})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), conn, websocket.MessageBinary), nil
}

// goReader is an eventReader that has a client for each partition.
type goReader struct {
	ready   chan struct{}
	events  chan event
	errs    chan readerError
	cancel  context.CancelFunc
	reading sync.WaitGroup
}

func (r *goReader) Ready() <-chan struct{}     { return r.ready }
func (r *goReader) Events() <-chan event       { return r.events }
func (r *goReader) Errors() <-chan readerError { return r.errs }

// Stop ends the reader.
func (r *goReader) Stop() error {
	r.cancel()
	r.reading.Wait()
	return nil
}

// openGo returns the open function of readers on a transport.
func openGo(transport string) func(*testing.T, readOptions) eventReader {
	return func(t *testing.T, o readOptions) eventReader {
		t.Helper()
		client := newGoClient(t, goOptions{transport: transport, group: o.group, key: o.key, retries: goRetries})
		ctx, cancel := context.WithCancel(context.Background())
		r := &goReader{ready: make(chan struct{}), events: make(chan event, 1<<14), errs: make(chan readerError, 1024), cancel: cancel}
		t.Cleanup(func() { _ = r.Stop() }) // has no error to tell
		attached := make(chan struct{}, partitions)
		for n := range partitions {
			partition := strconv.Itoa(n)
			r.reading.Go(func() {
				options, err := goPosition(ctx, client, o, partition)
				if err != nil {
					r.failed(err)
					return
				}
				r.read(ctx, client, partition, options, attached)
			})
		}
		r.reading.Go(func() { r.waitAttached(ctx, attached) })
		return r
	}
}

// waitAttached closes ready when all partitions are attached.
func (r *goReader) waitAttached(ctx context.Context, attached <-chan struct{}) {
	for range partitions {
		select {
		case <-attached:
		case <-ctx.Done():
			return
		}
	}
	close(r.ready)
}

// goPosition returns where a partition's client begins.
//
// The SDK opens a link when it first receives, and has no way to tell that it is open. So a reader from the latest event
// on asks for the number of that event before it counts as ready, and begins after it: nothing is left to chance.
func goPosition(ctx context.Context, client *azeventhubs.ConsumerClient, o readOptions, partition string) (azeventhubs.PartitionClientOptions, error) {
	var options azeventhubs.PartitionClientOptions
	if o.level != "" {
		level, err := strconv.ParseInt(o.level, 10, 64)
		if err != nil {
			return options, err
		}
		options.OwnerLevel = &level
	}
	at := &options.StartPosition
	at.Inclusive = o.inclusive
	position, given := o.positions[partition]
	switch {
	case o.start == "time":
		at.EnqueuedTime = to.Ptr(time.UnixMilli(o.time))
	case o.start == "latest":
		p, err := client.GetPartitionProperties(ctx, partition, nil)
		if err != nil {
			return options, err
		}
		at.SequenceNumber = &p.LastEnqueuedSequenceNumber
	case o.start == "offset" && given:
		at.Offset = &position
	case o.start == "sequence" && given:
		number, err := strconv.ParseInt(position, 10, 64)
		if err != nil {
			return options, err
		}
		at.SequenceNumber = &number
	default:
		at.Earliest = to.Ptr(true)
	}
	return options, nil
}

// attachWithin is how long a link that was not refused may take to open; see goPosition.
const attachWithin = 2 * time.Second

// read reads a partition until ctx ends, or an error comes after which there is no use in trying again. It tells attached
// once the link must be open.
func (r *goReader) read(ctx context.Context, client *azeventhubs.ConsumerClient, partition string, o azeventhubs.PartitionClientOptions, attached chan<- struct{}) {
	p, err := client.NewPartitionClient(partition, &o)
	if err != nil {
		r.failed(err)
		return
	}
	defer func() { _ = p.Close(context.Background()) }() // the hub may have closed it
	first, cancel := context.WithTimeout(ctx, attachWithin)
	defer cancel()
	events, err := p.ReceiveEvents(first, 1, nil)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		attached <- struct{}{}
		err = nil
	}
	for ctx.Err() == nil {
		for _, e := range events {
			r.events <- goShown(partition, e)
		}
		if err != nil {
			r.failed(err)
			if goName(err) != string(azeventhubs.ErrorCodeConnectionLost) {
				return
			}
		}
		events, err = p.ReceiveEvents(ctx, 1, nil)
	}
}

// failed reports an error.
func (r *goReader) failed(err error) {
	r.errs <- readerError{goName(err), strings.Join(strings.Fields(err.Error()), " ")}
}

// goName returns the SDK's code for an error, else its condition.
func goName(err error) string {
	if e := (*azeventhubs.Error)(nil); errors.As(err, &e) {
		return string(e.Code)
	}
	if e := (*amqp.Error)(nil); errors.As(err, &e) {
		return string(e.Condition)
	}
	return "Error"
}

// goInfo asks for the properties of the event hub and of its partitions.
func goInfo(t *testing.T) hubInfo {
	t.Helper()
	client := newGoClient(t, goOptions{retries: goOnce})
	ctx, cancel := context.WithTimeout(t.Context(), readerWithin)
	defer cancel()
	all, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	info := hubInfo{Name: all.Name, Created: all.CreatedOn.UnixMilli(), Partitions: all.PartitionIDs}
	for _, id := range all.PartitionIDs {
		p, err := client.GetPartitionProperties(ctx, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		info.Each = append(info.Each, partitionInfo{
			Partition: p.PartitionID, Begin: p.BeginningSequenceNumber, LastSequence: p.LastEnqueuedSequenceNumber,
			LastOffset: p.LastEnqueuedOffset, LastEnqueued: p.LastEnqueuedOn.UnixMilli(), Empty: p.IsEmpty,
		})
	}
	_, err = client.GetPartitionProperties(ctx, "99", nil)
	if err == nil {
		t.Fatal("partition 99 is there")
	}
	info.Refused = goName(err)
	return info
}

// goShown turns what the SDK shows of an event into what all readers show.
func goShown(partition string, e *azeventhubs.ReceivedEventData) event {
	shown := event{
		Partition: partition, Sequence: e.SequenceNumber, Offset: e.Offset, Enqueued: e.EnqueuedTime.UnixMilli(),
		Body: string(e.Body), MessageID: deref(e.MessageID), ContentType: deref(e.ContentType),
		Properties: map[string]string{}, System: stamps{},
	}
	shown.CorrelationID, _ = e.CorrelationID.(string) // another type shows as a difference, here and below
	if p := e.RawAMQPMessage.Properties; p != nil {
		shown.ContentEncoding = deref(p.ContentEncoding)
	}
	for name, value := range e.Properties {
		shown.Properties[name], _ = value.(string)
	}
	for name, value := range e.SystemProperties {
		if at, ok := value.(time.Time); ok {
			value = at.UnixMilli()
		}
		shown.System[name] = fmt.Sprint(value)
	}
	shown.Device = shown.System["iothub-connection-device-id"]
	return shown
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
