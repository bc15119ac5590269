package sqlstore_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// fill stores n devices with keys and returns their ids.
func fill(b *testing.B, edit func([]*hub.DeviceEdit), n int) []string {
	b.Helper()
	var ids []string
	for first := 0; first < n; first += 100 {
		var edits []*hub.DeviceEdit
		for i := range 100 {
			id := fmt.Sprintf("device-%06d", first+i)
			ids = append(ids, id)
			edits = append(edits, &hub.DeviceEdit{ID: id, Edit: func(*hubward.Device) (*hubward.Device, error) {
				return &hubward.Device{
					DeviceID: id, GenerationID: "1", ETag: "1", Status: hubward.StatusEnabled, ConnectionState: hubward.Disconnected,
					Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{
						PrimaryKey:   "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
						SecondaryKey: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
					}},
				}, nil
			}})
		}
		edit(edits)
	}
	return ids
}

func BenchmarkDevice(b *testing.B) {
	s := withHub(b, file(b.TempDir()))
	ids := fill(b, func(edits []*hub.DeviceEdit) { mustEdit(b, s, edits...) }, 10_000)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Device(ctx, "h", ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEditDevices_grouped has many callers that each wait for their own durable update, as devices and back ends do.
func BenchmarkEditDevices_grouped(b *testing.B) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := withHub(b, file(b.TempDir()))
			ids := fill(b, func(edits []*hub.DeviceEdit) { mustEdit(b, s, edits...) }, 10_000)
			var next atomic.Int64
			update := func(old *hubward.Device) (*hubward.Device, error) {
				n, err := strconv.Atoi(old.ETag)
				old.ETag = strconv.Itoa(n + 1)
				return old, err
			}
			one := func() error {
				e := &hub.DeviceEdit{ID: ids[next.Add(7919)%int64(len(ids))], Edit: update}
				if err := s.EditDevices(b.Context(), "h", []*hub.DeviceEdit{e}); err != nil {
					return err
				}
				return e.Err
			}
			b.ReportAllocs()
			if callers == 1 {
				for b.Loop() {
					if err := one(); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(callers / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := one(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
