package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func ExampleNewFromConnectionString() {
	c, err := service.NewFromConnectionString("HostName=hub.example;SharedAccessKeyName=iothubowner;SharedAccessKey="+testKey, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.HostName())
	// Output: hub.example
}

func ExampleClient_CreateDevice() {
	ctx := context.Background()
	c := connect(`{"deviceId":"MyFirstDevice","etag":"MA==","status":"enabled"}`)
	defer c.Close()
	d, err := c.CreateDevice(ctx, hubward.Device{DeviceID: "MyFirstDevice"})
	if hubward.CodeOf(err) == hubward.CodeDeviceAlreadyExists {
		d, err = c.Device(ctx, "MyFirstDevice")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.DeviceID, d.Status)
	// Output: MyFirstDevice enabled
}

func ExampleClient_UpdateDevice() {
	ctx := context.Background()
	c := connect(`{"deviceId":"MyFirstDevice","etag":"MQ==","status":"disabled"}`)
	defer c.Close()
	d, err := c.Device(ctx, "MyFirstDevice")
	if err != nil {
		log.Fatal(err)
	}
	d.Status, d.StatusReason = hubward.StatusDisabled, "battery change"
	if d, err = c.UpdateDevice(ctx, *d); err != nil { // fails if someone else was faster
		log.Fatal(err)
	}
	fmt.Println(d.Status)
	// Output: disabled
}

func ExampleClient_BulkDevices() {
	c := connect(`{"isSuccessful":true,"errors":[],"warnings":[]}`)
	defer c.Close()
	var items []service.BulkItem
	for i := range 3 {
		items = append(items, service.BulkItem{Device: hubward.Device{DeviceID: fmt.Sprintf("pump-%d", i)}, Mode: service.Create})
	}
	result, err := c.BulkDevices(context.Background(), items)
	if err != nil {
		log.Fatal(err)
	}
	for _, failed := range result.Errors {
		fmt.Println(failed.DeviceID, failed.ErrorStatus)
	}
	fmt.Println(result.IsSuccessful)
	// Output: true
}

func ExampleClient_UpdateTwin() {
	ctx := context.Background()
	c := connect(`{"deviceId":"MyFirstDevice","etag":"AAAAAAAAAAI=","version":4,"tags":{"room":"kitchen"},` +
		`"properties":{"desired":{"fanSpeed":3,"$version":2},"reported":{"fanSpeed":2,"$version":1}}}`)
	defer c.Close()
	id := hubward.Identity{Device: "MyFirstDevice"}
	twin, err := c.Twin(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	type properties struct {
		FanSpeed int `json:"fanSpeed"`
	}
	twin, err = c.UpdateTwin(ctx, id, service.TwinPatch{
		Tags:    map[string]any{"room": "kitchen", "floor": nil}, // nil removes one
		Desired: properties{FanSpeed: 3},
	}, twin.ETag) // fails if someone else was faster
	if err != nil {
		log.Fatal(err)
	}
	var reported properties
	if err := hubward.DecodeSection(twin.Properties.Reported, &reported); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the fan runs at", reported.FanSpeed, "so far; desired version", hubward.SectionVersion(twin.Properties.Desired))
	// Output: the fan runs at 2 so far; desired version 2
}

func ExampleClient_WatchTwin() {
	c := connect(`{"partition":"0","sequenceNumber":0,"body":{"version":5,"properties":{"reported":{"fanSpeed":3,"$version":2}}},` +
		`"properties":{"opType":"updateTwin","hubward-updated-by":"device MyFirstDevice"},"annotations":{"iothub-connection-device-id":"MyFirstDevice"}}`)
	defer c.Close()
	id := hubward.Identity{Device: "MyFirstDevice"}
	for change, err := range c.WatchTwin(context.Background(), id, service.EventsOptions{Earliest: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", change.By, change.Reported)
		break
	}
	// Output: device MyFirstDevice: {"fanSpeed":3,"$version":2}
}

func ExampleClient_InvokeMethod() {
	c := connect(`{"status":200,"payload":{"running":true}}`)
	defer c.Close()
	result, err := c.InvokeMethod(context.Background(), hubward.Identity{Device: "MyFirstDevice"}, hubward.MethodCall{
		Name: "startFan", Payload: json.RawMessage(`{"speed":3}`), ResponseTimeout: 10 * time.Second,
	})
	if hubward.CodeOf(err) == hubward.CodeDeviceNotOnline {
		log.Fatal("the device is not there: call later, or with a ConnectTimeout")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Status, string(result.Payload))
	// Output: 200 {"running":true}
}

func ExampleClient_Events() {
	c := connect(`{"partition":"0","sequenceNumber":0,"body":{"windSpeed":12.5},"annotations":{"iothub-connection-device-id":"MyFirstDevice"}}`)
	defer c.Close()
	for e, err := range c.Events(context.Background(), service.EventsOptions{Earliest: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", e.DeviceID(), e.Body)
		break
	}
	// Output: MyFirstDevice: {"windSpeed":12.5}
}

// connect returns a client of a stand-in for a hub, which always gives the same answer.
func connect(answer string) *service.Client {
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, answer) }))
	c, err := service.NewFromConnectionString(
		"HostName="+strings.TrimPrefix(hub.URL, "https://")+";SharedAccessKeyName=iothubowner;SharedAccessKey="+testKey,
		&service.Options{HTTPClient: hub.Client()})
	if err != nil {
		log.Fatal(err)
	}
	return c
}
