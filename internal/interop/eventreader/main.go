// Command eventreader reads events of the Event-Hubs-compatible endpoint with the official Go client as fast as it
// goes, and prints how many it got and what they cost the hub. tools/measure-readers runs it, and rhea.js beside it.
//
//	eventreader -ca FILE -pid PID -from earliest -count 400000 'Endpoint=sb://localhost/;…'
//	eventreader -ca FILE -pid PID -from latest -duration 5s 'Endpoint=sb://localhost/;…'
//	eventreader -pid PID -idle 20 -duration 10s 'Endpoint=sb://localhost:5672/;…'
//
// Output: one line "EVENTS SECONDS MICROSECONDS-OF-SERVER-CPU-PER-EVENT"; with -idle the milliseconds of CPU that the
// server used meanwhile.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubward/hubward/internal/bench"
)

type options struct {
	ca       string
	pid      int
	from     string
	count    int64
	duration time.Duration
	prefetch int
	idle     int
}

func main() {
	var o options
	flag.StringVar(&o.ca, "ca", "", "the authority to trust, a PEM file")
	flag.IntVar(&o.pid, "pid", 0, "process id of the hub")
	flag.StringVar(&o.from, "from", "earliest", "earliest or latest")
	flag.Int64Var(&o.count, "count", 0, "end after so many events")
	flag.DurationVar(&o.duration, "duration", time.Minute, "end after this time")
	flag.IntVar(&o.prefetch, "prefetch", 0, "events the client asks for ahead; 0: its default, 300")
	flag.IntVar(&o.idle, "idle", -1, "open five readers of partition 0 in each of the consumer groups waiting-1 to waiting-N, and wait")
	flag.Parse()
	do := run
	if o.idle >= 0 {
		do = wait
	}
	if err := do(flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, "eventreader:", err)
		os.Exit(1)
	}
}

func run(connectionString string, o options) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.duration)
	defer cancel()
	client, err := connect(connectionString, azeventhubs.DefaultConsumerGroup, o.ca)
	if err != nil {
		return err
	}
	defer client.Close(context.Background())
	properties, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		return err
	}
	cpu := bench.ProcessCPU(o.pid)
	before, err := cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	var events atomic.Int64
	var readers sync.WaitGroup
	failed := make(chan error, len(properties.PartitionIDs))
	for _, id := range properties.PartitionIDs {
		readers.Go(func() {
			if err := read(ctx, client, id, o, &events, cancel); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	readers.Wait()
	seconds := time.Since(start).Seconds()
	after, err := cpu()
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	n := events.Load()
	if n == 0 {
		return errors.New("no events")
	}
	fmt.Printf("%d %.2f %.3f\n", n, seconds, float64((after-before).Nanoseconds())/1e3/float64(n))
	return nil
}

func connect(connectionString, group, ca string) (*azeventhubs.ConsumerClient, error) {
	var o azeventhubs.ConsumerClientOptions
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
		o.TLSConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return azeventhubs.NewConsumerClientFromConnectionString(connectionString, "", group, &o)
}

// read counts the events of one partition until ctx ends, which it brings about when all are counted.
func read(ctx context.Context, client *azeventhubs.ConsumerClient, id string, o options, events *atomic.Int64, done func()) error {
	yes := true
	from := azeventhubs.StartPosition{Earliest: &yes}
	if o.from == "latest" {
		from = azeventhubs.StartPosition{Latest: &yes}
	}
	partition, err := client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: from, Prefetch: int32(o.prefetch)})
	if err != nil {
		return err
	}
	defer partition.Close(context.Background())
	for {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		got, err := partition.ReceiveEvents(wait, 300, nil)
		cancel()
		if n := events.Add(int64(len(got))); o.count > 0 && n >= o.count {
			done()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// wait opens readers of a partition on which nothing happens.
func wait(connectionString string, o options) error {
	ctx := context.Background()
	for i := range o.idle {
		client, err := connect(connectionString, fmt.Sprintf("waiting-%d", i+1), o.ca)
		if err != nil {
			return err
		}
		defer client.Close(ctx)
		for range 5 {
			if err := open(ctx, client); err != nil {
				return err
			}
		}
	}
	time.Sleep(2 * time.Second) // what opening cost is not to be counted
	cpu := bench.ProcessCPU(o.pid)
	before, err := cpu()
	if err != nil {
		return err
	}
	time.Sleep(o.duration)
	after, err := cpu()
	if err != nil {
		return err
	}
	fmt.Println((after - before).Milliseconds())
	return nil
}

// open opens a reader behind the last event. The client attaches it with the first call that receives.
func open(ctx context.Context, client *azeventhubs.ConsumerClient) error {
	latest := true
	partition, err := client.NewPartitionClient("0", &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Latest: &latest}})
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := partition.ReceiveEvents(short, 1, nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
