// Command readevents reads an event hub once from its start with the official Go client, as the programs in node/ and
// python/ do with theirs: "make transcripts" records what it says. It asks for the properties of the event hub and of
// each partition, reads all partitions at once, up to the last event that there is, and closes.
//
// Inputs: EVENTHUB_CONNECTION_STRING, and HUB_CA, the authority to trust, a PEM file. It prints "event" for each event,
// and "ready" when it has read them all.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// readWithin bounds the whole conversation.
const readWithin = time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "readevents:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	client, err := connect()
	if err != nil {
		return err
	}
	all, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		return errors.Join(err, client.Close(ctx))
	}
	var reading sync.WaitGroup
	failed := make([]error, len(all.PartitionIDs))
	for n, id := range all.PartitionIDs {
		reading.Go(func() { failed[n] = read(ctx, client, id) })
	}
	reading.Wait()
	if err := errors.Join(failed...); err != nil {
		return errors.Join(err, client.Close(ctx))
	}
	fmt.Println("ready")
	return client.Close(ctx)
}

func connect() (*azeventhubs.ConsumerClient, error) {
	pem, err := os.ReadFile(os.Getenv("HUB_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", os.Getenv("HUB_CA"))
	}
	// The id is fixed, so that two recordings differ in less.
	return azeventhubs.NewConsumerClientFromConnectionString(os.Getenv("EVENTHUB_CONNECTION_STRING"), "", azeventhubs.DefaultConsumerGroup,
		&azeventhubs.ConsumerClientOptions{TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, InstanceID: "recorder"})
}

// read opens a partition, and reads what is there when it asks.
func read(ctx context.Context, client *azeventhubs.ConsumerClient, id string) error {
	at, err := client.GetPartitionProperties(ctx, id, nil)
	if err != nil {
		return err
	}
	earliest := true
	p, err := client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
	if err != nil {
		return err
	}
	if want := int(at.LastEnqueuedSequenceNumber + 1); want > 0 {
		var events []*azeventhubs.ReceivedEventData
		events, err = p.ReceiveEvents(ctx, want, nil)
		for range events {
			fmt.Println("event")
		}
	}
	return errors.Join(err, p.Close(ctx))
}
