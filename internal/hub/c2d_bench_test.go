package hub_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// benchC2D is a running hub on a file, with devices that receive and complete at once, or do not receive at all.
type benchC2D struct {
	api
	b       *testing.B
	store   *sqlstore.Store
	devices []chan struct{} // one for each message that a device may have waiting
}

func newBenchC2D(b *testing.B, devices int, receive bool) *benchC2D {
	b.Helper()
	store, err := sqlstore.Open(b.Context(), sqlstore.Options{Path: filepath.Join(b.TempDir(), "registry.db")})
	if err != nil {
		b.Fatal(err)
	}
	h, err := hub.Open(b.Context(), hub.Options{Store: store, Log: memlog.Open(memlog.Options{}), Cluster: localcluster.New(localcluster.Options{Epoch: 1})})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-ended
		store.Close()
	})
	x := &benchC2D{api: api{h, func() {}}, b: b, store: store}
	if _, err := x.CreateHub(b.Context(), hub.NewHub{Name: "plant"}); err != nil {
		b.Fatal(err)
	}
	for i := range devices {
		x.add(fmt.Sprint("d", i), receive)
	}
	return x
}

func (x *benchC2D) add(id string, receive bool) {
	d, err := x.PutDevice(x.b.Context(), "plant", hubward.Device{DeviceID: id}, "")
	if err != nil {
		x.b.Fatal(err)
	}
	room := make(chan struct{}, 40)
	x.devices = append(x.devices, room)
	if receive {
		x.receive(d, room)
	}
}

// receive connects a device that completes what it gets.
func (x *benchC2D) receive(d *hubward.Device, room chan struct{}) {
	session := &session{deliver: func(delivery hub.Delivery) {
		d := delivery.(*hub.C2DDelivery)
		d.Receiver.Settle(d.LockToken, hub.C2DComplete, func(err error) {
			if err != nil {
				x.b.Error(err)
			}
			<-room
		})
		d.Receiver.Credit(1)
	}}
	x.connect(d, session).ReceiveC2D(40)
}

func (x *benchC2D) connect(d *hubward.Device, s *session) connection {
	x.b.Helper()
	token, err := sign("plant.localhost", d, time.Now().Add(time.Hour))
	if err != nil {
		x.b.Fatal(err)
	}
	link, err := x.logIn(x.b.Context(), logIn{
		Host: "plant.localhost", Identity: hubward.Identity{Device: d.DeviceID}, Token: token, Session: s,
	})
	if err != nil {
		x.b.Fatal(err)
	}
	return connection{Link: link, session: s}
}

var benchMessage = &hubward.Message{MessageID: "m", Body: make([]byte, 256)}

func (x *benchC2D) send(device int) {
	if err := x.SendC2D(x.b.Context(), "plant", fmt.Sprint("d", device), benchMessage); err != nil {
		x.b.Error(err)
	}
}

// BenchmarkSendC2D stores messages durably, from one sender for each device.
func BenchmarkSendC2D(b *testing.B) {
	for _, devices := range []int{1, 100} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			x := newBenchC2D(b, devices, false)
			x.run(func(device, n int) {
				if n%50 == 0 {
					if _, err := x.PurgeC2D(b.Context(), "plant", fmt.Sprint("d", device)); err != nil {
						b.Error(err)
					}
				}
				x.send(device)
			})
		})
	}
}

// BenchmarkC2D_roundTrip sends messages to devices that complete them, up to 40 at a time for each.
func BenchmarkC2D_roundTrip(b *testing.B) {
	for _, devices := range []int{1, 100} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			x := newBenchC2D(b, devices, true)
			x.run(func(device, _ int) {
				x.devices[device] <- struct{}{}
				x.send(device)
			})
			b.StopTimer()
			for _, room := range x.devices { // all is settled when there is room for all
				for range cap(room) {
					room <- struct{}{}
				}
			}
		})
	}
}

// run has one sender for each device, which share b.N steps.
func (x *benchC2D) run(step func(device, n int)) {
	var next atomic.Int64
	x.b.ReportAllocs()
	x.b.SetParallelism(max(len(x.devices)/2, 1))
	if len(x.devices) == 1 {
		for n := 0; x.b.Loop(); n++ {
			step(0, n)
		}
	} else {
		x.b.RunParallel(func(pb *testing.PB) {
			device := int(next.Add(1)-1) % len(x.devices)
			for n := 0; pb.Next(); n++ {
				step(device, n)
			}
		})
	}
	x.b.ReportMetric(float64(x.b.N)/x.b.Elapsed().Seconds(), "messages/s")
}
