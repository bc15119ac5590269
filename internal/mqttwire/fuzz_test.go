package mqttwire_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/hubward/hubward/internal/mqttwire"
)

func FuzzParseHeader(f *testing.F) {
	for _, row := range golden {
		f.Add(unhex(f, row.hex)[:2])
	}
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := mqttwire.ParseHeader(b)
		if err != nil {
			var wire *mqttwire.Error
			if !errors.As(err, &wire) || n != 0 {
				t.Fatalf("n = %d, error %v", n, err)
			}
			return
		}
		if n == 0 {
			if len(b) >= 5 {
				t.Fatal("five bytes always hold a header or an error")
			}
			return
		}
		if n < 2 || n > 5 || n > len(b) || h.Length < 0 || h.Length > mqttwire.MaxLength {
			t.Fatalf("%+v, n = %d of %d bytes", h, n, len(b))
		}
		// Nothing behind the header matters, and fewer bytes are not a header.
		if again, m, err := mqttwire.ParseHeader(b[:n]); again != h || m != n || err != nil {
			t.Fatalf("alone: %+v, %d, %v", again, m, err)
		}
		if _, m, err := mqttwire.ParseHeader(b[:n-1]); m != 0 || err != nil {
			t.Fatalf("cut: %d, %v", m, err)
		}
	})
}

func FuzzPackets(f *testing.F) {
	for _, row := range golden {
		f.Add(unhex(f, row.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, _, err := parse(b)
		if err != nil {
			var wire *mqttwire.Error
			if !errors.As(err, &wire) && err != errShort {
				t.Fatalf("an error of another type: %v", err)
			}
			return
		}
		wire, ok, err := encode(first)
		if err != nil {
			t.Fatalf("%+v was read but cannot be written: %v", first, err)
		}
		if !ok {
			return
		}
		second, rest, err := parse(wire)
		if err != nil || len(rest) != 0 {
			t.Fatalf("% x was written but cannot be read: %v, %d left", wire, err, len(rest))
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v became %+v", first, second)
		}
	})
}
