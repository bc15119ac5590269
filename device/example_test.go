package device_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

func ExampleClient_SendTelemetry() {
	hub, err := startFakeHub() // stands for a hub; its connection string comes from `hubward device connection-string`
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: hub.roots})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(ctx)
	if err := client.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	err = client.SendTelemetry(ctx, &hubward.Message{
		MessageID:       "1",
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		Properties:      []hubward.Property{{Name: "windAlert", Value: "false"}},
		Body:            []byte(`{"deviceId":"d1","windSpeed":12.34}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the hub has stored the message")
	// Output: the hub has stored the message
}

// Many messages under way at once: the hub gets them in order, and the program does not wait for each confirmation.
func ExampleClient_SendTelemetryAsync() {
	hub, err := startFakeHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: hub.roots, MaxInFlight: 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	var mu sync.Mutex
	confirmed := 0
	for i := range 100 {
		m := &hubward.Message{Body: fmt.Appendf(nil, `{"reading":%d}`, i)}
		err := client.SendTelemetryAsync(ctx, m, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				confirmed++
			}
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := client.Close(ctx); err != nil { // waits for the rest
		fmt.Println(err)
		return
	}
	fmt.Println("confirmed:", confirmed)
	// Output: confirmed: 100
}

// Messages to the device, handled one after another until the program is told to end.
func ExampleClient_Drain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := device.NewFromConnectionString(os.Getenv("DEVICE"), &device.Options{
		OnMessage: func(ctx context.Context, m *device.C2DMessage) error {
			room, ok := m.Properties.Get("room")
			if !ok {
				return device.ErrReject // nobody can ever do it
			}
			fmt.Println(room, string(m.Body))
			return nil // it is done
		},
	})
	if err == nil {
		err = client.Connect(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Drain(end); err != nil { // the message in hand is done, and what was sent is confirmed
		fmt.Println(err)
	}
}

// What went wrong is told by the code of the error.
func ExampleNewFromConnectionString() {
	_, err := device.NewFromConnectionString("HostName=hub.example;DeviceId=d1", nil)
	var e *hubward.Error
	if errors.As(err, &e) && e.Code == hubward.CodeArgumentInvalid {
		fmt.Println(e.Message)
	}
	// Output: connection string: it has neither SharedAccessKey nor SharedAccessSignature nor x509=true
}

// The twin, read and written.
func ExampleClient_UpdateReported() {
	hub, err := startFakeHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: hub.roots, ModelID: "dtmi:com:example:Thermostat;1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(ctx)
	if err := client.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	twin, err := client.Twin(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var reported struct{ Firmware string }
	if err := twin.Reported.Decode(&reported); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("firmware %s, in version %d\n", reported.Firmware, twin.Reported.Version)

	version, err := client.UpdateReported(ctx, map[string]any{
		"firmware":    "1.2",
		"lastFault":   nil,                                         // goes away
		"thermostat1": map[string]any{"__t": "c", "maxTemp": 38.7}, // a component of the Plug and Play model
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("stored as version", version)
	// Output:
	// firmware 1.1, in version 7
	// stored as version 8
}

// A desired property is applied, and acknowledged by the convention of Plug and Play for writable properties
// (learn.microsoft.com/azure/iot/concepts-convention).
func ExampleClient_OnDesired() {
	hub, err := startFakeHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := device.NewFromConnectionString(hub.connectionString(), &device.Options{CA: hub.roots})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(ctx)

	type acknowledgement struct {
		Value   float64 `json:"value"`
		Code    int     `json:"ac"` // as in HTTP
		Version int64   `json:"av"` // of the desired properties
	}
	applied := make(chan float64, 1)
	err = client.OnDesired(func(ctx context.Context, d device.DesiredChange) { // first all there are, then each change
		var desired struct{ Interval *float64 }
		if err := d.Decode(&desired); err != nil || desired.Interval == nil {
			return // it is about something else
		}
		ack := acknowledgement{Value: *desired.Interval, Code: 200, Version: d.Version}
		if _, err := client.UpdateReported(ctx, map[string]any{"interval": ack}); err != nil {
			fmt.Println(err)
		}
		applied <- *desired.Interval
	})
	if err == nil {
		err = client.Connect(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the interval is", <-applied)
	// Output: the interval is 5
}

// Direct methods: one of the device, and a command of a component of its Plug and Play model.
func ExampleClient_HandleMethod() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := device.NewFromConnectionString(os.Getenv("DEVICE"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	reboot := func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
		var want struct{ Delay int }
		if err := r.Decode(&want); err != nil || want.Delay < 0 {
			return 400, map[string]string{"error": "delay has to be a number of seconds"}, nil
		}
		return 200, map[string]int{"rebootsIn": want.Delay}, nil
	}
	report := func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
		return 200, map[string]float64{"maxTemp": 38.7, "minTemp": 11.2}, nil
	}
	err = errors.Join(
		client.HandleMethod("reboot", reboot),
		client.HandleMethod("thermostat1*getMaxMinReport", report),
		client.Connect(ctx),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Drain(end); err != nil { // calls in hand are answered
		fmt.Println(err)
	}
}
