package readbuf_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/hubward/hubward/internal/front/readbuf"
)

func TestReader_anyChunking(t *testing.T) {
	data := make([]byte, 200_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	chunkings := map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "byte by byte": iotest.OneByteReader, "data and EOF": iotest.DataErrReader,
	}
	for name, chunk := range chunkings {
		t.Run(name, func(t *testing.T) {
			var b readbuf.Reader
			b.Init(chunk(bytes.NewReader(data)))
			var got []byte
			for n := 1; len(got) < len(data); n = n*3%70_001 + 1 {
				n = min(n, len(data)-len(got))
				for len(b.Unread()) < n {
					if err := b.Fill(); err != nil {
						t.Fatal(err)
					}
				}
				got = append(got, b.Take(n)...)
			}
			if !bytes.Equal(got, data) {
				t.Error("other bytes")
			}
			for range 3 { // whatever was borrowed goes back when nothing more comes
				if err := b.Fill(); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
			}
			if b.Borrowed() {
				t.Error("a buffer is still borrowed")
			}
			b.Close()
		})
	}
}

func TestReader_endInside(t *testing.T) {
	var b readbuf.Reader
	b.Init(bytes.NewReader([]byte("abc")))
	if err := b.Fill(); err != nil {
		t.Fatal(err)
	}
	b.Take(1)
	if err := b.Fill(); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}
